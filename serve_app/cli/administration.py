"""The commands for a gateway that runs: their arguments, and which does what."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from serve_app.cli.connection_arguments import add_connection_parsers
from serve_app.cli.token_arguments import add_token_parsers

if TYPE_CHECKING:
    from serve_app.cli.desk import DeskWish

COMMANDS: Final = frozenset({"list", "add", "remove", "accept", "test", "reload"})

FINDING: Final = (
    "Without --gateway and --port, the gateway is meant that you run on this machine. One that somebody else runs"
    " wants a credential with the scope only1mcp:admin in the environment variable ONLY1MCP_TOKEN, or that you log in."
)


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", port: Callable[[str], int]) -> None:
    """Teach the parser these commands; `port` reads a port."""
    finding = argparse.ArgumentParser(add_help=False)
    finding.add_argument("--gateway", metavar="URL", help="of the gateway, if you do not run it here")
    finding.add_argument("--port", type=port, help="of the gateway that you run here")
    common: dict[str, Any] = {"parents": [finding], "epilog": FINDING}

    listing = commands.add_parser("list", help="list the servers of a running gateway", **common)
    listing.add_argument("--json", action="store_true", help="everything that is known, as JSON")
    add = commands.add_parser(
        "add",
        help="add a server to a running gateway",
        usage="only1mcp add NAME [options] (--url URL | --json ENTRY | -- COMMAND [ARG …])",
        **common,
    )
    add.add_argument("name", metavar="NAME")
    add.add_argument("--url", metavar="URL", help="of the server, if it is reached over the network")
    add.add_argument("--env", "-e", action="append", default=[], metavar="NAME[=VALUE]", help="a variable for it")
    add.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="a header for it")
    add.add_argument("--json", metavar="ENTRY", help="an entry as it would stand in a configuration file")
    remove = commands.add_parser("remove", help="remove a server that was added", **common)
    remove.add_argument("name", metavar="NAME")
    accept = commands.add_parser("accept", help="agree to what the tools of a pinned server are now", **common)
    accept.add_argument("name", metavar="NAME")
    test = commands.add_parser("test", help="connect to a server and say what it offers", **common)
    test.add_argument("name", metavar="NAME")
    test.add_argument("--config", type=Path, metavar="FILE", help="connect from here, as this configuration says")
    commands.add_parser("reload", help="have a running gateway read its configuration again", **common)
    add_connection_parsers(commands, common)
    add_token_parsers(commands, common)


def divided(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """What is for us, and what follows the `--` of `add`: a command of its own, with options of its own."""
    if list(words[:1]) == ["add"] and "--" in words:
        at = words.index("--")
        return words[:at], words[at + 1 :]
    return words, []


def administrate(chosen: argparse.Namespace, words: Sequence[str]) -> int:
    """Do what a command line says; `words` are those after `--`. Returns the exit code."""
    from serve_app.cli.desk import DeskError

    try:
        return _do(chosen, words)
    except DeskError as error:
        sys.stderr.write(f"only1mcp: {error.reason}\n")
        return error.code


def _do(chosen: argparse.Namespace, words: Sequence[str]) -> int:
    from serve_app.cli import servers
    from serve_app.cli.desk import DeskWish, find_desk

    wish = DeskWish(chosen.gateway, chosen.port)
    match chosen.command:
        case "list":
            return servers.show(find_desk(wish, os.environ), sys.stdout, as_json=chosen.json)
        case "add":
            added = servers.AddWish(chosen.name, chosen.url, words, chosen.env, chosen.header, chosen.json)
            return servers.add(find_desk(wish, os.environ), added, sys.stdout)
        case "remove":
            return servers.remove(find_desk(wish, os.environ), chosen.name, sys.stdout)
        case "accept":
            return servers.accept(find_desk(wish, os.environ), chosen.name, sys.stdout)
        case "test":
            return _test(chosen, wish)
        case _:
            from serve_app.cli.reload import reload

            return reload(find_desk(wish, os.environ), sys.stdout)


def _test(chosen: argparse.Namespace, wish: "DeskWish") -> int:
    """Through the gateway, or from here. Rungs: the file that is named; the gateway, if there is one; a file found."""
    import platformdirs

    from actors import logs
    from serve_app.cli.desk import DeskError, DeskWish, find_desk
    from serve_app.cli.trial import of_file, of_gateway, trial
    from serve_app.config import find

    logs.configure(level="warning")
    if chosen.config is not None:
        return trial(of_file(chosen.name, chosen.config, os.environ), sys.stdout)
    try:
        desk = find_desk(wish, os.environ)
    except DeskError:
        path = find(None, Path.cwd(), Path(platformdirs.user_config_dir()))
        if wish != DeskWish() or path is None:
            raise
        return trial(of_file(chosen.name, path, os.environ), sys.stdout)
    return trial(of_gateway(chosen.name, desk.url, os.environ), sys.stdout)
