"""`only1mcp login` and `logout`: a person at a gateway, with a browser."""

import argparse
import sys
import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from actors.core.claims import bytes_of
from actors.core.json_once import decode_object
from actors.core.rules import SettingsError, require, url_rule
from serve_app.cli.login_arguments import DEFAULT_URL
from serve_app.login.flow import log_in
from serve_app.login.fresh_token import renewed
from serve_app.login.gateway_door import DoorError, GatewayDoor, NewTokens
from serve_app.login.kept_login import (
    KeptError,
    KeptLogin,
    alone,
    gateway_of,
    login_path,
    read_login,
    remove_login,
    write_login,
)
from serve_app.login.redirect import RedirectError
from serve_app.oauth.logins import Offered

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

CANNOT: Final = 1
WRONG: Final = 2


def run_login(chosen: argparse.Namespace) -> int:
    """Do what a command line says. Returns the exit code."""
    try:
        url = chosen.url or DEFAULT_URL
        require(url_rule("--url", url, instead="log in"))
        gateway = gateway_of(url)
        if chosen.command == "logout":
            return logout(gateway, sys.stdout)
        browse = None if chosen.no_browser else webbrowser.open
        return login(gateway, chosen.provider, browse, sys.stdout, sys.stderr)
    except SettingsError as error:
        sys.stderr.write(f"only1mcp: {error}\n")
        return WRONG
    except (DoorError, RedirectError, KeptError) as error:
        sys.stderr.write(f"only1mcp: {error}\n")
        return CANNOT
    except KeyboardInterrupt:
        sys.stderr.write("only1mcp: nobody has logged in\n")
        return CANNOT


def login(
    gateway: str,
    provider: str | None,
    browse: Callable[[str], object] | None,
    out: TextIO,
    err: TextIO,
    *,
    clock: Callable[[], float] = time.time,
    folder: Path | None = None,
) -> int:
    """Log in, and keep what comes of it in `folder`; `browse` opens a browser. Returns the exit code, 0.

    Raises:
        DoorError, RedirectError, KeptError: nobody is logged in now who was not before.
    """
    parts = urlsplit(gateway)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        err.write("the URL begins with http://, so whoever is on the way can take the login\n")
    door = GatewayDoor(gateway)
    offered = _chosen(door.providers(), provider)

    def send(url: str) -> None:
        err.write(f"log in at {offered.name} with this page, on this machine:\n{url}\n")
        err.flush()
        if browse is not None:
            browse(url)

    tokens = log_in(door, offered, send)
    subject, path = _subject(tokens), login_path(gateway, folder)
    kept = renewed(KeptLogin(gateway, offered.name, offered.client_id, subject, "", 0.0, ""), tokens, clock())
    with alone(path):
        before = read_login(path)
        write_login(path, kept)
    if before is not None:
        try:
            door.revoke(before.refresh)
        except DoorError as error:
            err.write(f"the login before this one has not ended: {error}\n")
    minutes = round(tokens.expires_in / 60)
    out.write(f"{subject} is logged in at {gateway}; the token lasts {minutes} min and is renewed when it is used\n")
    return 0


def logout(gateway: str, out: TextIO, *, folder: Path | None = None) -> int:
    """End a login at the gateway, and keep nothing of it. Returns the exit code, 0.

    Raises:
        DoorError: the gateway could not be told; the file is gone nevertheless.
        KeptError: the file cannot be had.
    """
    path = login_path(gateway, folder)
    with alone(path):
        kept = read_login(path)
        remove_login(path)
    if kept is None:
        out.write(f"nobody is logged in at {gateway}\n")
        return 0
    GatewayDoor(gateway).revoke(kept.refresh)
    out.write(f"{kept.subject} is logged out at {gateway}\n")
    return 0


def _chosen(offered: Sequence[Offered], name: str | None) -> Offered:
    if not offered:
        raise DoorError("the gateway has no providers of logins")
    names = ", ".join(each.name for each in offered)
    if name is None and len(offered) > 1:
        raise DoorError(f"there are several providers: say --provider, with one of {names}")
    for each in offered:
        if name in (None, each.name):
            return each
    raise DoorError(f"there is no such provider; there is {names}")


def _subject(tokens: NewTokens) -> str:
    """Who the gateway says it is; nothing depends on it, so its signature is not looked at."""
    parts = tokens.access_token.split(".")
    try:
        said = decode_object(bytes_of(parts[1])) if len(parts) == 3 else None
    except ValueError:
        said = None
    subject = None if said is None else said.get("sub")
    return subject if isinstance(subject, str) and subject.isprintable() else "somebody"
