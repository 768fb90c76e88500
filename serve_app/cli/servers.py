"""`only1mcp list`, `add` and `remove`: the servers of a gateway that runs."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table

from serve_app.cli.desk import WRONG, Desk, DeskError, server_path

WAIT_SECONDS: Final = 60.0
"""How long `add` waits for what becomes of the server."""

LOOK_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class AddWish:
    """What the command line says about a server to add."""

    name: str
    url: str | None = None
    command: Sequence[str] = ()
    env: Sequence[str] = ()
    """Each `NAME=VALUE`, or `NAME` for what this command has in that variable."""
    headers: Sequence[str] = ()
    """Each `Name: value`."""
    entry: str | None = None
    """JSON, as it would stand in a file; the rest is laid over it."""


def show(desk: Desk, out: TextIO, *, as_json: bool) -> int:
    """Print the servers. Returns the exit code, 0.

    Raises:
        DeskError: they cannot be had.
    """
    page = desk.ask("GET", "/servers")
    if as_json:
        out.write(f"{json.dumps(page, indent=2, ensure_ascii=False)}\n")
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("server", "origin", "state", "replicas", "tools", "in flight", "note"):
        table.add_column(column)
    for server in page["servers"]:
        table.add_row(*_row(server))
    Console(file=out, soft_wrap=True).print(table, highlight=False, markup=False)
    return 0


def add(
    desk: Desk,
    wish: AddWish,
    out: TextIO,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Add a server and say what becomes of it. Returns the exit code, 0 also for one that is not up yet.

    Raises:
        DeskError: it was not added.
    """
    entry = entry_of(wish, os.environ, Path.cwd())
    page = desk.ask("POST", "/servers", {**entry, "name": wish.name})
    until = clock() + WAIT_SECONDS
    while page["state"] == "starting" and clock() < until:
        sleep(LOOK_SECONDS)
        page = desk.ask("GET", server_path(wish.name))
    if page["state"] == "up":
        out.write(f"added {wish.name}: {_count(page['tools'], 'tool')}\n")
    else:
        out.write(f"added {wish.name}, which is not up and is tried again: {_note(page) or page['state']}\n")
    return 0


def remove(desk: Desk, name: str, out: TextIO) -> int:
    """Remove a server that was added. Returns the exit code, 0.

    Raises:
        DeskError: it was not removed.
    """
    desk.ask("DELETE", server_path(name))
    out.write(f"removed {name}: calls that run may finish\n")
    return 0


def accept(desk: Desk, name: str, out: TextIO) -> int:
    """Agree to the definitions of a server's tools. Returns the exit code, 0.

    Raises:
        DeskError: it was not done.
    """
    before = desk.ask("GET", server_path(name))
    desk.ask("POST", f"{server_path(name)}/accept")
    out.writelines(f"accepted {line}\n" for line in _changes(before))
    out.write(f"{name}: the definitions of its tools are those that are agreed to\n")
    return 0


def entry_of(wish: AddWish, environ: Mapping[str, str], cwd: Path) -> dict[str, Any]:
    """The entry as it would stand in a file; `cwd` is where the server runs unless the entry says otherwise.

    Raises:
        DeskError: the command line makes no sense.
    """
    entry = _json(wish.entry)
    if wish.url is not None:
        entry["url"] = wish.url
    if wish.command:
        entry["command"], entry["args"] = wish.command[0], list(wish.command[1:])
    if not {"url", "urls", "command"} & entry.keys():
        raise DeskError("say --url, or the command after `--`", WRONG)
    if wish.env:
        entry["env"] = {**_mapping(entry, "env"), **dict(_variable(text, environ) for text in wish.env)}
    if wish.headers:
        entry["headers"] = {**_mapping(entry, "headers"), **dict(_header(text) for text in wish.headers)}
    if "command" in entry:
        entry.setdefault("cwd", str(cwd))
    return entry


def _json(text: str | None) -> dict[str, Any]:
    try:
        entry = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise DeskError("--json is not JSON", WRONG) from None
    if not isinstance(entry, dict):
        raise DeskError("--json must be a JSON object", WRONG)
    return entry


def _mapping(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = entry.get(key, {})
    if not isinstance(found, dict):
        raise DeskError(f"{key} in --json must be a mapping of names to values", WRONG)
    return found


def _variable(text: str, environ: Mapping[str, str]) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if given:
        return name, value
    if name not in environ:
        raise DeskError(f"--env {name} names a variable that is not set here", WRONG)
    return name, environ[name].replace("${", "$${")  # it is meant as it is, and not expanded again


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise DeskError("--header must have the form 'Name: value'", WRONG)
    return name.strip(), value.strip()


def _row(server: Mapping[str, Any]) -> list[str]:
    replicas = server["replicas"]
    up = sum(replica["state"] == "up" for replica in replicas)
    in_flight = sum(replica["in_flight"] for replica in replicas)
    numbers = [f"{up} of {server['wanted_replicas']}", str(server["tools"]), str(in_flight)]
    return [server["name"], server["origin"], server["state"], *numbers, _note(server)]


def _note(server: Mapping[str, Any]) -> str:
    """Why something is not as it should be: of the first replica that says so, else of its lists."""
    replicas = server["replicas"]
    details = [replica["detail"] for replica in replicas if replica["detail"]]
    breakers = [f"breaker {replica['breaker']}" for replica in replicas if replica["breaker"] != "closed"]
    findings = server.get("findings", [])
    kinds = ", ".join(sorted({finding["what"] for finding in findings}))
    held = len({(finding["kind"], finding["name"]) for finding in findings if finding["held"]})
    found = [f"{held} held back: {kinds}" if held else f"{_count(len(findings), 'finding')}: {kinds}"]
    return "".join([*details, *breakers, *(found if findings else [])][:1])


def _changes(server: Mapping[str, Any]) -> list[str]:
    """What of its tools is not what was agreed to."""
    return [
        f"{finding['what']} tool {finding['name']}"
        for finding in server.get("findings", [])
        if finding["what"] in ("new", "changed")
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
