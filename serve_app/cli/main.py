"""The command `only1mcp`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from actors.core.identity import VERSION
from serve_app.cli.administration import COMMANDS, add_parsers, administrate, divided
from serve_app.cli.audit_arguments import add_audit_parser
from serve_app.cli.connection_arguments import CONNECTION_COMMANDS, run_connections
from serve_app.cli.login_arguments import LOGIN_COMMANDS, add_login_parsers
from serve_app.cli.policy import add_policy_parser, policy
from serve_app.cli.token_arguments import run_tokens


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; gives its exit code."""
    words, command = divided(sys.argv[1:] if arguments is None else arguments)
    chosen = _parser().parse_args(words)
    match chosen.command:
        case name if name in COMMANDS:
            return administrate(chosen, command)
        case "run":
            from serve_app.cli.preparation import Wish
            from serve_app.cli.run import run

            wish = Wish(
                chosen.config,
                chosen.host,
                chosen.port,
                chosen.address,
                keeps_state=not chosen.no_state,
                plain=chosen.plain,
                dashboard=not chosen.no_dashboard,
            )
            return run(wish)
        case "stdio":
            from serve_app.cli.stdio import StdioWish, stdio

            return stdio(StdioWish(chosen.url, chosen.server, chosen.config, chosen.header))
        case "config":
            from serve_app.cli.kuberay import kuberay

            return kuberay(chosen.config, chosen.image, sys.stdout)
        case name if name in LOGIN_COMMANDS:
            from serve_app.cli.login import run_login

            return run_login(chosen)
        case "audit":
            from serve_app.cli.audit import run_audit

            return run_audit(chosen)
        case "environment":
            from serve_app.cli.environment import environment

            return environment(sys.stdout)
        case "validate":
            from serve_app.cli.validate import validate

            return validate(chosen.file, sys.stdout)
        case "policy":
            return policy(chosen)
        case name:
            return (run_connections if name in CONNECTION_COMMANDS else run_tokens)(chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="only1mcp", description="One endpoint in front of every MCP server you have.")
    parser.add_argument("--version", action="version", version=f"only1mcp {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the gateway in the foreground")
    run.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="YAML, TOML or JSON; by default ./only1mcp.yaml, then"
        " the one in your configuration folder, else a demonstration server",
    )
    run.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    run.add_argument("--port", type=_port, help="port to listen on (default: 8080)")
    ray = run.add_mutually_exclusive_group()
    ray.add_argument("--address", metavar="RAY", help="join this Ray cluster instead of starting a local one")
    ray.add_argument(
        "--no-dashboard", action="store_true", help="start the local one without its dashboard, which takes memory"
    )
    run.add_argument("--no-state", action="store_true", help="keep nothing for the next run, and recall nothing")
    run.add_argument(
        "--plain", action="store_true", help="on a loopback address, leave out the TLS of the configuration"
    )
    _add_stdio(commands)
    validate = commands.add_parser("validate", help="check a configuration and say what it amounts to")
    validate.add_argument("file", type=Path, metavar="FILE")
    add_parsers(commands, _port)
    _add_config(commands)
    add_audit_parser(commands)
    add_policy_parser(commands)
    add_login_parsers(commands)
    commands.add_parser("environment", help="print the environment for the Ray of a cluster's node, before it starts")
    return parser


def _add_stdio(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    stdio = commands.add_parser(
        "stdio",
        help="speak MCP over standard input and output, for clients that can only start a program",
        description="Connects a client that can only start a program to a running gateway: MCP over standard input"
        " and output on this side, HTTP on the other.",
        epilog="If the gateway wants a credential, put a token into the environment variable ONLY1MCP_TOKEN, which is"
        " sent as a Bearer token, or log in with `only1mcp login`. There is no option for it: other users of the"
        " machine can read command lines.",
    )
    stdio.add_argument("--url", help="endpoint of the gateway (default: http://127.0.0.1:8080/mcp)")
    stdio.add_argument("--server", metavar="NAME", help="speak to this one backend, with nothing renamed")
    stdio.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="if no gateway answers at the URL, start one with this configuration, and end it with this command",
    )
    stdio.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="send this header with every request; may be repeated, and is not for credentials",
    )


def _add_config(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    config = commands.add_parser("config", help="print what other systems need to run the gateway")
    kinds = config.add_subparsers(dest="kind", required=True, metavar="SYSTEM")
    kuberay = kinds.add_parser("kuberay", help="a manifest for Kubernetes: a RayService, with the configuration in it")
    kuberay.add_argument("--config", type=Path, metavar="FILE", help="as for `run`")
    kuberay.add_argument("--image", help="the image that all pods run, with Ray and only1mcp in it")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
