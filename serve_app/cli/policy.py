"""The arguments of `only1mcp policy explain`, and what they say."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from actors.core.permission_settings import ADMIN_ACTIONS, ANNOTATIONS

MAX_TIME: Final = 253_402_300_800.0
"""Unix seconds of the year 10000, from which on there are no dates."""

_EPILOG: Final = (
    "Exit code: 0 if it is allowed, 1 if it is denied, 2 if the question or the configuration is wrong. TIME is Unix"
    " seconds, or a date and a time as in 2027-01-31T09:30+01:00, in UTC if no zone is named."
)


def add_policy_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Teach the parser this command."""
    policy = commands.add_parser("policy", help="say what the policy of a configuration allows, and why")
    kinds = policy.add_subparsers(dest="what", required=True, metavar="WHAT")
    explain = kinds.add_parser("explain", help="decide as the gateway would, and show the way there", epilog=_EPILOG)
    explain.add_argument("--config", type=Path, metavar="FILE", help="as for `run`")
    explain.add_argument("--json", action="store_true", help="the decision and the way there, as JSON")
    _add_who(explain)
    _add_what(explain)


def _add_who(explain: argparse.ArgumentParser) -> None:
    who = explain.add_argument_group("who asks, by default somebody without a credential")
    named = who.add_mutually_exclusive_group()
    named.add_argument("--as", dest="subject", metavar="SUBJECT", help="the `sub` of a token")
    named.add_argument("--key", metavar="NAME", help="an API key; one that is configured has its scopes and groups")
    who.add_argument("--issuer", metavar="URL", help="the `iss` of the token; by default the one that is configured")
    who.add_argument("--client", default="", help="the OAuth client of the token")
    for name in ("group", "scope", "amr"):
        who.add_argument(f"--{name}", action="append", default=[], metavar=name.upper(), help="may be repeated")
    who.add_argument("--role", action="append", default=[], metavar="ROLE", help="besides those that are assigned")
    who.add_argument("--acr", default="")
    who.add_argument("--auth-time", type=_time, metavar="TIME", help="when the token's owner logged in")
    who.add_argument("--ip", default="127.0.0.1", metavar="ADDRESS", help="where from (default: 127.0.0.1)")
    who.add_argument("--at", type=_time, metavar="TIME", help="when (default: now)")


def _add_what(explain: argparse.ArgumentParser) -> None:
    what = explain.add_argument_group("what for, one of these")
    one = what.add_mutually_exclusive_group(required=True)
    for kind, name in (("tool", "NAME"), ("prompt", "NAME"), ("resource", "URI")):
        one.add_argument(f"--{kind}", type=_of_server, metavar=f"SERVER/{name}", help="by the server's own name")
    one.add_argument("--method", metavar="METHOD", help="of the protocol, such as completion/complete; see --server")
    one.add_argument("--admin", choices=ADMIN_ACTIONS, metavar="ACTION", help=", ".join(ADMIN_ACTIONS))
    what.add_argument("--server", default="", metavar="NAME", help="whose method it is; by default that of no server")
    what.add_argument(
        "--annotation",
        action="append",
        default=[],
        type=_annotation,
        metavar="HINT=true|false",
        help="what the tool says of itself; may be repeated, and what is not given has the default of the protocol",
    )
    what.add_argument("--arguments", type=_json, metavar="JSON", help="of the call; without them none are known")


def policy(chosen: argparse.Namespace) -> int:
    """Do what the command line says. Returns the exit code."""
    from serve_app.cli.explaining import explain

    return explain(chosen, sys.stdout, sys.stderr, os.environ)


def _of_server(text: str) -> tuple[str, str]:
    server, _, name = text.partition("/")
    if not (server and name):
        raise argparse.ArgumentTypeError("must be the name of a server, a slash, and what is meant of it")
    return server, name


def _time(text: str) -> float:
    with suppress(ValueError, OverflowError):
        try:
            seconds = float(text)
        except ValueError:
            at = datetime.fromisoformat(text)
            seconds = (at.replace(tzinfo=UTC) if at.tzinfo is None else at).timestamp()
        if 0 <= seconds < MAX_TIME:
            return seconds
    raise argparse.ArgumentTypeError("a time is Unix seconds, or a date and a time like 2027-01-31T09:30+01:00")


def _annotation(text: str) -> tuple[str, bool]:
    name, _, value = text.partition("=")
    if name not in ANNOTATIONS or value not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be =true or =false after one of {', '.join(ANNOTATIONS)}")
    return name, value == "true"


def _json(text: str) -> Callable[[], Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise argparse.ArgumentTypeError("must be JSON") from None
    return lambda: value
