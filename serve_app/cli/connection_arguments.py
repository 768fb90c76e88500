"""The arguments of `only1mcp connect`, `disconnect` and `connections`, and which does what."""

import argparse
import os
import sys
from typing import Any, Final

CONNECTION_COMMANDS: Final = frozenset({"connect", "disconnect", "connections"})

WHO: Final = (
    "You are who your token in the environment variable ONLY1MCP_TOKEN says, or your login; where the gateway tells"
    " no callers apart, the user who started it."
)

FINDING: Final = "Without --gateway and --port, the gateway is meant that you run on this machine."


def add_connection_parsers(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", common: dict[str, Any]
) -> None:
    """Teach the parser these commands; `common` is what all commands for a gateway that runs have."""
    described = {**common, "description": WHO, "epilog": FINDING}
    entering = commands.add_parser(
        "connect", help="let the gateway act for you at a server, with your browser", **described
    )
    entering.add_argument("name", metavar="NAME", help="of the server")
    entering.add_argument("--no-browser", action="store_true", help="only print the page to go to")
    leaving = commands.add_parser("disconnect", help="take that back", **described)
    leaving.add_argument("name", metavar="NAME", help="of the server")
    for parser in (entering, leaving):
        parser.add_argument(
            "--for-lists",
            action="store_true",
            help="not for you, but for the gateway, which asks the server for its tools; needs servers:write",
        )
    listing = commands.add_parser("connections", help="list the servers where you can connect", **described)
    listing.add_argument("--json", action="store_true", help="everything that is known, as JSON")


def run_connections(chosen: argparse.Namespace) -> int:
    """Do what a command line says; returns the exit code."""
    import webbrowser

    from serve_app.cli import connections
    from serve_app.cli.desk import CANNOT, DeskError, DeskWish, as_user, find_desk
    from serve_app.login.redirect import RedirectError

    try:
        desk = find_desk(DeskWish(chosen.gateway, chosen.port), os.environ)
        lists = chosen.command != "connections" and chosen.for_lists
        if not lists:
            desk = as_user(desk, os.environ)
        match chosen.command:
            case "connect":
                browse = None if chosen.no_browser else webbrowser.open
                return connections.connect(desk, chosen.name, browse, sys.stdout, sys.stderr, lists=lists)
            case "disconnect":
                return connections.disconnect(desk, chosen.name, sys.stdout, lists=lists)
            case _:
                return connections.show(desk, sys.stdout, as_json=chosen.json)
    except DeskError as error:
        sys.stderr.write(f"only1mcp: {error.reason}\n")
        return error.code
    except RedirectError as error:
        sys.stderr.write(f"only1mcp: {error}\n")
        return CANNOT
    except KeyboardInterrupt:
        sys.stderr.write("only1mcp: nothing has changed\n")
        return CANNOT
