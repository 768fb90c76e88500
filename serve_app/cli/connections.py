"""`only1mcp connect`, `disconnect` and `connections`: a user's credentials at the servers behind a gateway."""

import json
from collections.abc import Callable
from typing import Final, TextIO
from urllib.parse import quote, urlsplit

from serve_app.cli.desk import Desk
from serve_app.login.redirect import Redirect

CONNECT_SECONDS: Final = 300.0
"""For a person with a password, a second factor, and perhaps a first look at both."""


def connect(
    desk: Desk,
    name: str,
    browse: Callable[[str], object] | None,
    out: TextIO,
    err: TextIO,
    *,
    lists: bool,
    seconds: float = CONNECT_SECONDS,
) -> int:
    """Have the user agree in a browser, which `browse` opens. Returns the exit code, 0.

    Raises:
        DeskError: the gateway, or the server, says no.
        RedirectError: the browser brought no code.
    """
    path = _path(name, lists=lists)
    with Redirect() as redirect:
        begun = desk.ask("POST", path, {"redirect_uri": redirect.url})
        redirect.expect(begun["state"], begun["issuer"], names_issuer=False)  # the gateway knows whether it must
        where = urlsplit(begun["url"]).netloc
        err.write(f"agree at {where} with this page, on this machine:\n{begun['url']}\n")
        err.flush()
        if browse is not None:
            browse(begun["url"])
        code = redirect.wait(seconds)
        desk.ask("PUT", path, {"state": begun["state"], "code": code, "iss": redirect.issuer})
    out.write(f"connected to {name}{' for its lists' if lists else ''}\n")
    return 0


def disconnect(desk: Desk, name: str, out: TextIO, *, lists: bool) -> int:
    """Have the gateway forget what it was given. Returns the exit code, 0.

    Raises:
        DeskError: it has not.
    """
    desk.ask("DELETE", _path(name, lists=lists))
    out.write(f"disconnected from {name}\n")
    return 0


def show(desk: Desk, out: TextIO, *, as_json: bool) -> int:
    """Print where the user can connect, and is connected. Returns the exit code, 0.

    Raises:
        DeskError: it cannot be had.
    """
    page = desk.ask("GET", "/connections")
    if as_json:
        out.write(f"{json.dumps(page, indent=2, ensure_ascii=False)}\n")
        return 0
    words = {True: "connected", False: "not connected"}
    out.writelines(f"{each['server']:<32} {words[each['connected']]}\n" for each in page["connections"])
    if not page["connections"]:
        out.write("no server here asks for credentials of yours\n")
    return 0


def _path(name: str, *, lists: bool) -> str:
    return f"/connections/{quote(name, safe='')}{'/lists' if lists else ''}"
