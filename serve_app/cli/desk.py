"""Where the commands that administrate a gateway find it, and how they speak with it."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from actors.core.rules import SettingsError, require, url_rule
from serve_app.admin.pass_file import Pass, PassError, pass_path, passes, read_pass
from serve_app.login.fresh_token import LoginOver, fresh_token
from serve_app.login.gateway_door import DoorError
from serve_app.login.kept_login import KeptError, gateway_of
from serve_app.own_way import OWN_ORIGIN

TOKEN_VARIABLE: Final = "ONLY1MCP_TOKEN"  # noqa: S105 - the name of a variable

INSTEAD: Final = f"put a token into {TOKEN_VARIABLE}, or log in: only1mcp login"

ANSWER_SECONDS: Final = 30.0

ADMIN_PATH: Final = "/api/v1/admin"

CANNOT: Final = 1
WRONG: Final = 2


class DeskError(Exception):
    """It cannot be done. Arguments: a sentence or several lines for a person, and the exit code."""

    def __init__(self, reason: str, code: int = CANNOT) -> None:
        super().__init__(reason, code)
        self.reason = reason
        self.code = code


@dataclass(frozen=True, slots=True)
class DeskWish:
    """What the command line says of the gateway; what it does not say is `None`."""

    gateway: str | None = None
    port: int | None = None


class Desk:
    """One gateway. `token` may administrate it; `pass_file` is that of a gateway which this user started."""

    def __init__(self, url: str, token: str, pass_file: Path | None = None, socket: str | None = None) -> None:
        """`socket` is as in `Pass`."""
        self.url = url.rstrip("/")
        self._socket = socket
        self._token = token
        self._pass_file = pass_file

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The page that answers a request; `path` is below that of the admin API.

        Raises:
            DeskError: there is no gateway, or it says no.
        """
        headers = {"authorization": f"Bearer {self._token}"}
        sent: Mapping[str, Any] = {} if body is None else {"json": body}
        try:
            transport = None if self._socket is None else httpx.HTTPTransport(uds=self._socket)
            origin = self.url if self._socket is None else OWN_ORIGIN
            with httpx.Client(trust_env=False, timeout=ANSWER_SECONDS, transport=transport) as client:
                response = client.request(method, f"{origin}{ADMIN_PATH}{path}", headers=headers, **sent)
        except httpx.HTTPError as error:
            raise DeskError(f"no gateway answers at {self.url} ({type(error).__name__})") from None
        try:
            page = response.json() if response.content else None
        except ValueError:
            raise DeskError(f"what answers at {self.url} is no gateway of ours") from None
        if response.is_success:
            return page
        raise _refused(response.status_code, page)

    def with_token(self, token: str) -> "Desk":
        """The same gateway, for somebody else."""
        return Desk(self.url, token, self._pass_file, self._socket)

    def held(self) -> Pass | None:
        """The pass as it is now, which tells of reloads, if this user started the gateway here."""
        with suppress(PassError):
            return None if self._pass_file is None else read_pass(self._pass_file)
        return None


def server_path(name: str) -> str:
    """The path of one server below that of the admin API."""
    return f"/servers/{quote(name, safe='')}"


def find_desk(wish: DeskWish, environ: Mapping[str, str], folder: Path | None = None) -> Desk:
    """The gateway that is meant. Rungs:

    1. The one at `--gateway`: with the token of the environment, else with the pass for its port on this machine, else
       as the person who is logged in there.
    2. The one on `--port` of this machine, which this user started.
    3. The only one which this user started.

    `folder` is where passes lie.

    Raises:
        DeskError: there is none, or one too many.
    """
    if wish.gateway is not None:
        return _at_url(wish.gateway, environ, folder)
    if wish.port is not None:
        held = _pass(pass_path(wish.port, folder))
        if held is None:
            raise DeskError(f"no gateway of this user runs on port {wish.port}")
        return Desk(held.url, held.token, pass_path(wish.port, folder), held.socket)
    found = {path: held for path in passes(folder) if (held := _pass(path)) is not None and _is_there(held.pid)}
    if not found:
        raise DeskError("no gateway of this user runs here: start one with `only1mcp run`, or say --gateway")
    if len(found) > 1:
        raise DeskError(f"several gateways run here, at {', '.join(held.url for held in found.values())}: say --port")
    ((path, held),) = found.items()
    return Desk(held.url, held.token, path, held.socket)


def as_user(desk: Desk, environ: Mapping[str, str]) -> Desk:
    """The same gateway, as the user and not as who started it. Rungs: the token of the environment; a login there.

    Who has neither stays who they are, which is right where callers are not told apart.

    Raises:
        DeskError: see `login_token`.
    """
    token = _given_token(environ) or login_token(desk.url)
    return desk if token is None else desk.with_token(token)


def _given_token(environ: Mapping[str, str]) -> str:
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if not (token.isascii() and token.isprintable()):
        raise DeskError(f"{TOKEN_VARIABLE} holds characters that no token has", WRONG)
    return token


def _at_url(url: str, environ: Mapping[str, str], folder: Path | None) -> Desk:
    try:
        require(url_rule("--gateway", url, instead=f"put a token into the variable {TOKEN_VARIABLE}"))
    except SettingsError as error:
        raise DeskError(str(error), WRONG) from None
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/mcp')}"
    token = _given_token(environ)
    if token:
        return Desk(base, token)
    path = pass_path(parts.port or (443 if parts.scheme == "https" else 80), folder)
    held = _pass(path)
    # a token is for the gateway that made it: nobody else shall read it
    if held is None or urlsplit(held.url).netloc != parts.netloc.replace("localhost", "127.0.0.1"):
        mine = login_token(base)
        if mine is None:
            raise DeskError(f"the gateway at {base} wants a credential: {INSTEAD}")
        return Desk(base, mine)
    return Desk(held.url, held.token, path, held.socket)


def login_token(base: str) -> str | None:
    """The access token of the person who is logged in at a gateway, if there is one.

    Raises:
        DeskError: the login is over, or cannot be renewed now.
    """
    try:
        return fresh_token(gateway_of(base), time.time)
    except (LoginOver, DoorError, KeptError) as error:
        raise DeskError(str(error)) from None


def _pass(path: Path) -> Pass | None:
    try:
        return read_pass(path)
    except PassError as error:
        raise DeskError(str(error)) from None


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _refused(status: int, page: Any) -> DeskError:
    reason = page.get("error") if isinstance(page, dict) else None
    if isinstance(reason, dict):  # of JSON-RPC: the request has not reached the admin API
        reason = reason.get("message")
    if status == 401:
        return DeskError(f"the gateway does not know the credential: {reason}")
    problems = page.get("problems", []) if isinstance(page, dict) else []
    lines = [str(reason or f"the gateway answered with status {status}"), *(f"  {problem}" for problem in problems)]
    return DeskError("\n".join(lines), WRONG if status == 422 else CANNOT)
