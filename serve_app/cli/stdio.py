"""`only1mcp stdio`: the gateway for a client that can only start a program, and speaks to that over its streams."""

import asyncio
import dataclasses
import os
import re
import signal
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import structlog

from actors import logs
from actors.core.rules import SettingsError, header_rules, require, url_rule
from actors.core.settings import NAME_PATTERN, NAME_SENTENCE
from serve_app.login.kept_login import gateway_of
from serve_app.stdio.bridge import Bridge
from serve_app.stdio.endpoint import TOKEN_VARIABLE, Endpoint, at_once, nobody
from serve_app.stdio.login_token import LoginToken
from serve_app.stdio.streams import Input, Output

if TYPE_CHECKING:
    from serve_app.stdio.own_gateway import OwnGateway

DEFAULT_URL: Final = "http://127.0.0.1:8080/mcp"
PATH: Final = "/mcp"
WRONG_ARGUMENTS: Final = 2
GATEWAY_LOST: Final = 1

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

CREDENTIALS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
"""Headers that the command line is not for: every user of the machine can read it."""

OURS: Final = re.compile(r"mcp-.*|accept|content-.*|connection|host|last-event-id|origin|transfer-encoding|upgrade|te")
"""Headers which the bridge writes itself, or whose change would break its requests."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StdioWish:
    """What the command line says; what it does not say is `None`."""

    url: str | None = None
    server: str | None = None
    config: Path | None = None
    headers: Sequence[str] = ()
    """Each as `Name: value`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the gateway is, or shall be, and what is sent along with every request."""

    url: str
    """Of the endpoint of everything, `/mcp`."""
    server: str | None
    headers: Mapping[str, str]
    config: Path | None

    @property
    def endpoint(self) -> str:
        """The endpoint to speak to."""
        if self.server is None:
            return self.url
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(path=f"{parts.path.removesuffix(PATH)}/servers/{self.server}{PATH}"))


def prepare(wish: StdioWish, environ: Mapping[str, str]) -> Plan:
    """Make a plan of the command line and the environment.

    Raises:
        SettingsError: it cannot work; no sentence repeats a value.
    """
    url = wish.url or DEFAULT_URL
    require(url_rule("--url", url, instead=f"put a token into the variable {TOKEN_VARIABLE}"))
    parts = urlsplit(url)
    url = urlunsplit(parts._replace(path=parts.path.rstrip("/"), fragment=""))
    well = wish.server is None or re.fullmatch(NAME_PATTERN, wish.server) is not None
    require(
        (("--url",), wish.server is None or parts.path.rstrip("/").endswith(PATH), f"must end in {PATH} for --server"),
        (("--server",), well, NAME_SENTENCE),
        (("--config",), wish.config is None or wish.config.is_file(), "is not a file"),
    )
    headers = _headers(wish.headers)
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if token:
        require(((TOKEN_VARIABLE,), token.isascii() and token.isprintable(), "holds characters that no token has"))
        headers["Authorization"] = f"Bearer {token}"
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            log.warning("token_unencrypted", reason="the URL begins with http://")
    return Plan(url, wish.server, headers, wish.config)


def stdio(wish: StdioWish) -> int:
    """Serve one client until it closes its end, or until SIGINT or SIGTERM; a second signal ends at once.

    Returns the exit code: 0 if that was what ended it, 1 if a gateway of our own could not start or died, 2 if the
    command line is wrong.
    """
    stdout = _claim_stdout()
    logs.configure()
    try:
        plan = prepare(wish, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"only1mcp: {error}\n")
        return WRONG_ARGUMENTS
    if sys.stdin is not None and sys.stdin.isatty():
        sys.stderr.write("only1mcp: waiting for MCP messages, a line each; this command is for clients to start\n")
    return asyncio.run(_serve(plan, stdout))


async def _serve(plan: Plan, stdout: int) -> int:
    loop = asyncio.get_running_loop()
    asked = asyncio.Semaphore(0)
    for number in SIGNALS:
        loop.add_signal_handler(number, asked.release)
    source, out, errors = Input(0), Output(stdout), Output(2)
    for stream in (source, out, errors):
        stream.start()
    plan, own = await _settle(plan, errors)
    has_own_way = own is not None or "Authorization" in plan.headers
    login = nobody if has_own_way else LoginToken(gateway_of(plan.url), time.time, time.monotonic)
    bridge = Bridge(out, Endpoint(plan.endpoint, plan.headers, own.ready if own else at_once, login))
    ends = [bridge.run(source), asked.acquire(), out.lost.wait(), *([own.ended.wait()] if own else [])]
    await _first_of(ends)
    code = GATEWAY_LOST if own and own.ended.is_set() else 0
    await _first_of([_close(bridge, own), asked.acquire()])
    return code


async def _settle(plan: Plan, errors: Output) -> tuple[Plan, "OwnGateway | None"]:
    """Find the gateway that runs, or start one."""
    if plan.config is None:
        return plan, None
    # most clients find a gateway that runs, and shall not wait for what it takes to start one
    from serve_app.stdio.own_gateway import HOST, OwnGateway, free_port, is_running

    if await is_running(plan.url):
        return plan, None
    port = free_port()
    own = OwnGateway(plan.config.absolute(), port, errors.offer, os.environ)
    await own.start()
    return dataclasses.replace(plan, url=f"http://{HOST}:{port}{PATH}"), own


async def _close(bridge: Bridge, own: "OwnGateway | None") -> None:
    await bridge.close()
    if own is not None:
        await own.stop()


async def _first_of(works: Sequence[Coroutine[Any, Any, Any]]) -> None:
    """Return when one is done, and end the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    for task in done:
        task.result()


def _headers(lines: Sequence[str]) -> dict[str, str]:
    """The headers of the command line.

    Raises:
        SettingsError: one is malformed, or not for the command line.
    """
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        require((("--header",), bool(colon), "must have the form 'Name: value'"))
        headers[name.strip()] = value.strip()
    require(*header_rules(headers))
    names = {name.lower() for name in headers}
    require(
        (("--header",), not names & CREDENTIALS, f"is not for credentials: put a token into {TOKEN_VARIABLE}"),
        (("--header",), not any(map(OURS.fullmatch, names)), "names a header which the bridge writes itself"),
    )
    return headers


def _claim_stdout() -> int:
    """Keep standard output for messages alone: whoever prints from now on prints to standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept
