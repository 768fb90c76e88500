"""`only1mcp token` and `only1mcp key`: what a running gateway has issued, more of it, and its end.

A credential goes to standard output alone, so that it can be piped to where it is kept; sentences for people about it
go to standard error.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from actors.core.principal import MAX_CREDENTIAL_BYTES
from serve_app.cli.desk import WRONG, Desk, DeskError

FROM_INPUT: Final = "-"
"""Instead of a token, which must not stand on a command line: other users of the machine can read those."""


def issue(desk: Desk, subject: str, given: Mapping[str, object], out: TextIO, err: TextIO) -> int:
    """Issue a token for a service and print it. Returns the exit code, 0.

    Raises:
        DeskError: there is none.
    """
    page = desk.ask("POST", "/tokens", {"subject": subject, **given})
    err.write(f"token {page['id']} for {subject}, good until {page['expires_at']}; it is not shown again:\n")
    out.write(f"{page['token']}\n")
    return 0


def show_tokens(desk: Desk, out: TextIO, *, as_json: bool) -> int:
    """Print what was issued. Returns the exit code, 0.

    Raises:
        DeskError: it cannot be had.
    """
    page = desk.ask("GET", "/tokens")
    columns = ("id", "kind", "subject", "scopes", "groups", "resource", "expires_at", "revoked")
    return _show(page, page["tokens"], columns, out, as_json=as_json)


def revoke(desk: Desk, what: Mapping[str, str], given: TextIO, out: TextIO) -> int:
    """Revoke: with `id` a token or login that is listed, or the token in `given`; else as the admin API has it.

    Returns the exit code, 0.

    Raises:
        DeskError: nothing is revoked.
    """
    name = what.get("id")
    if name is None:
        desk.ask("POST", "/revocations", dict(what))
    elif name == FROM_INPUT:
        token = given.read(MAX_CREDENTIAL_BYTES + 1).strip()
        if not token:
            raise DeskError("there is no token on standard input", WRONG)
        desk.ask("POST", "/revocations", {"token": token})
    else:
        desk.ask("DELETE", f"/tokens/{quote(name, safe='')}")
    out.write("revoked\n")
    return 0


def create_key(desk: Desk, name: str, given: Mapping[str, object], out: TextIO, err: TextIO) -> int:
    """Make an API key and print it. Returns the exit code, 0.

    Raises:
        DeskError: there is none.
    """
    page = desk.ask("POST", "/keys", {"name": name, **given})
    until = f", good until {page['expires_at']}" if page["expires_at"] else ""
    err.write(f"key {name}{until}; it is not shown again:\n")
    out.write(f"{page['key']}\n")
    return 0


def show_keys(desk: Desk, out: TextIO, *, as_json: bool) -> int:
    """Print the keys that were made while the gateway runs. Returns the exit code, 0.

    Raises:
        DeskError: they cannot be had.
    """
    page = desk.ask("GET", "/keys")
    columns = ("name", "begins_with", "scopes", "groups", "made_at", "expires_at", "former_until")
    return _show(page, page["keys"], columns, out, as_json=as_json)


def revoke_key(desk: Desk, name: str, out: TextIO) -> int:
    """Make a key worth nothing. Returns the exit code, 0.

    Raises:
        DeskError: it still is worth something.
    """
    desk.ask("DELETE", _key_path(name))
    out.write(f"revoked {name}\n")
    return 0


def rotate_key(desk: Desk, name: str, overlap: float | None, out: TextIO, err: TextIO) -> int:
    """Make a new key in place of one and print it. Returns the exit code, 0.

    Raises:
        DeskError: there is none.
    """
    body = {} if overlap is None else {"overlap_seconds": overlap}
    page = desk.ask("POST", f"{_key_path(name)}/rotate", body)
    old = f"the one before is good until {page['former_until']}" if page["former_until"] else "the one before is not"
    err.write(f"key {name}, {old}; it is not shown again:\n")
    out.write(f"{page['key']}\n")
    return 0


def _key_path(name: str) -> str:
    return f"/keys/{quote(name, safe='')}"


def _show(
    page: object, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], out: TextIO, *, as_json: bool
) -> int:
    if as_json:
        out.write(f"{json.dumps(page, indent=2, ensure_ascii=False)}\n")
        return 0
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column in ("id", "name"))
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    Console(file=out, soft_wrap=True).print(table, highlight=False, markup=False)
    return 0


def _cell(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
