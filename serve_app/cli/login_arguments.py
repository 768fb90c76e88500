"""The arguments of `only1mcp login` and `logout`."""

import argparse
from typing import Final

DEFAULT_URL: Final = "http://127.0.0.1:8080"

LOGIN_COMMANDS: Final = frozenset({"login", "logout"})


def add_login_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Teach the parser these commands."""
    of_gateway = f"of the gateway (default: {DEFAULT_URL})"
    entering = commands.add_parser("login", help="log in at a gateway, with your browser")
    entering.add_argument("--url", metavar="GATEWAY", help=of_gateway)
    entering.add_argument("--provider", metavar="NAME", help="where to log in, if there are several places")
    entering.add_argument("--no-browser", action="store_true", help="only print the page to go to")
    leaving = commands.add_parser("logout", help="end your login at a gateway")
    leaving.add_argument("--url", metavar="GATEWAY", help=of_gateway)
