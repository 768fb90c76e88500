"""The arguments of `only1mcp audit`."""

import argparse
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from actors.core.audit.event import Kind
from serve_app.audit_reading import moment

LAST: Final = 20
"""Events that `tail` shows if nobody says how many."""


def add_audit_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Teach the parser these commands."""
    audit = commands.add_parser("audit", help="look at the log of who did what")
    kinds = audit.add_subparsers(dest="deed", required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--file", type=Path, help="the log; by default the one that the configuration names")
    where.add_argument("--config", type=Path, metavar="FILE", help="the configuration, as for `run`")
    what = argparse.ArgumentParser(add_help=False)
    what.add_argument("--principal", metavar="GLOB", help="only what this subject or client did")
    what.add_argument("--server", metavar="GLOB", help="only what was done at this server")
    what.add_argument("--kind", choices=[kind.value for kind in Kind], help="only events of this kind")
    what.add_argument("--since", type=_moment, metavar="TIME", help="only later ones: 30m, 12h, 7d, or a date")
    verify = kinds.add_parser("verify", parents=[where], help="prove that the log is as it was written")
    verify.add_argument("--without-key", action="store_true", help="where there is none: finds less")
    tail = kinds.add_parser("tail", parents=[where, what], help="show the last events")
    tail.add_argument("-n", dest="number", type=_number, default=LAST, help=f"how many (default: {LAST})")
    tail.add_argument("-f", "--follow", action="store_true", help="and those to come")
    tail.add_argument("--json", action="store_true", help="the lines of the log as they are")
    export = kinds.add_parser("export", parents=[where, what], help="write events as JSON, one a line")
    export.add_argument("--output", "-o", type=Path, metavar="FILE", help="a file that is not there yet")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 7):
        raise argparse.ArgumentTypeError("it is a number from 0 to 9999999")
    return int(text)


def _moment(text: str) -> datetime:
    with suppress(ValueError, OverflowError):
        return moment(text, datetime.now(UTC))
    raise argparse.ArgumentTypeError("it is 30m, 12h, 7d, or a date like 2026-07-28T12:00")
