"""The arguments of `only1mcp token` and of what `only1mcp key` does at a gateway that runs, and which does what."""

import argparse
import os
import re
import sys
from typing import Any, Final

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

ONCE: Final = "What it makes is shown once, on standard output, and stored nowhere."


def add_token_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", common: dict[str, Any]) -> None:
    """Teach the parser both commands; `common` is what all commands for a gateway that runs have."""
    token = commands.add_parser("token", help="tokens that a running gateway issues for services, and their end")
    tokens = token.add_subparsers(dest="action", required=True, metavar="ACTION")
    issue = tokens.add_parser("issue", help="issue a token for a service", description=ONCE, **common)
    issue.add_argument("subject", metavar="SUBJECT", help="who it is for, such as nightly-build")
    _add_given(issue, "how long it is good, such as 12h or 30d (default: 30d, or what the gateway allows)")
    issue.add_argument("--server", metavar="NAME", help="the only server at whose endpoint it is good (default: all)")
    listing = tokens.add_parser("list", help="list the tokens of services, and the logins of people", **common)
    listing.add_argument("--json", action="store_true", help="everything that is known, as JSON")
    revoke = tokens.add_parser(
        "revoke",
        help="make tokens worth nothing, at once and everywhere",
        description="Without an option, ends the token or login that `token list` shows under ID; ID may be - for a"
        " token on standard input, of whatever issuer.",
        **common,
    )
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", metavar="ID", help="of a token or login")
    which.add_argument("--subject", help="all that was issued to it until now")
    which.add_argument("--client", help="all that was issued to this OAuth client until now")
    which.add_argument("--family", help="all that goes back to one login")
    which.add_argument("--all-of", metavar="ISSUER", help="all that this issuer has issued until now")
    revoke.add_argument("--issuer", default="", help="whose subject or client is meant (default: any issuer's)")

    key = commands.add_parser(
        "key",
        help="make an API key and print its hash; or, with an action, keys of a running gateway",
    )
    keys = key.add_subparsers(dest="action", metavar="ACTION")
    create = keys.add_parser("create", help="make a key that is good at once", description=ONCE, **common)
    create.add_argument("name", metavar="NAME")
    _add_given(create, "how long it is good, such as 12h or 90d (default: until it is revoked)")
    shown = keys.add_parser("list", help="list the keys that were made so", **common)
    shown.add_argument("--json", action="store_true", help="everything that is known, as JSON")
    drop = keys.add_parser("revoke", help="make a key worth nothing, at once and everywhere", **common)
    drop.add_argument("name", metavar="NAME")
    rotate = keys.add_parser("rotate", help="make a new key in place of one", description=ONCE, **common)
    rotate.add_argument("name", metavar="NAME")
    rotate.add_argument("--overlap", type=_duration, metavar="TIME", help="how long the old one is good (default: 1d)")


def run_tokens(chosen: argparse.Namespace) -> int:
    """Do what a command line says; returns the exit code."""
    from serve_app.cli import tokens
    from serve_app.cli.desk import DeskError, DeskWish, find_desk

    if chosen.command == "key" and chosen.action is None:
        from serve_app.cli.keys import key

        return key(sys.stdout)
    try:
        desk = find_desk(DeskWish(chosen.gateway, chosen.port), os.environ)
        match chosen.command, chosen.action:
            case "token", "issue":
                return tokens.issue(desk, chosen.subject, _given(chosen), sys.stdout, sys.stderr)
            case "token", "list":
                return tokens.show_tokens(desk, sys.stdout, as_json=chosen.json)
            case "token", _:
                return tokens.revoke(desk, _revoked(chosen), sys.stdin, sys.stdout)
            case _, "create":
                return tokens.create_key(desk, chosen.name, _given(chosen), sys.stdout, sys.stderr)
            case _, "list":
                return tokens.show_keys(desk, sys.stdout, as_json=chosen.json)
            case _, "revoke":
                return tokens.revoke_key(desk, chosen.name, sys.stdout)
            case _:
                return tokens.rotate_key(desk, chosen.name, chosen.overlap, sys.stdout, sys.stderr)
    except DeskError as error:
        sys.stderr.write(f"only1mcp: {error.reason}\n")
        return error.code


def _add_given(parser: argparse.ArgumentParser, lifetime: str) -> None:
    parser.add_argument("--scope", action="append", default=[], metavar="SCOPE", help="may be repeated")
    parser.add_argument("--group", action="append", default=[], metavar="GROUP", help="may be repeated")
    parser.add_argument("--lifetime", type=_duration, metavar="TIME", help=lifetime)


def _given(chosen: argparse.Namespace) -> dict[str, object]:
    given: dict[str, object] = {"scopes": chosen.scope, "groups": chosen.group}
    more = {"lifetime_seconds": chosen.lifetime, "server": vars(chosen).get("server")}
    return given | {name: value for name, value in more.items() if value is not None}


def _revoked(chosen: argparse.Namespace) -> dict[str, str]:
    """What is to be revoked, as the admin API has it; with `id`, what `token list` shows."""
    named = {"id": chosen.id, "subject": chosen.subject, "client": chosen.client, "family": chosen.family}
    found = {name: value for name, value in named.items() if value is not None}
    if chosen.all_of is not None:
        return {"issuer": chosen.all_of}
    return {**found, **({"issuer": chosen.issuer} if chosen.issuer else {})}


def _duration(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError("a time is a number with s, m, h or d, such as 30d")
    return int(match[1]) * _UNITS[match[2]]
