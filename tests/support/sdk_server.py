"""Serves a server written with the SDK as a command line says: over HTTP or the standard streams, in one era or both.

`--http 0` chooses a port; either way a line `listening PORT` follows, and the endpoint is `/mcp`. The handshake era has
sessions there; `POST /forget` ends them all behind the clients' backs, as a restart would, and answers how many.
"""

import argparse
import asyncio
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp.server._streamable_http_modern import handle_modern_request
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import _serve_modern_stream, serve_loop
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventStore
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.http_listener import serve_http


@dataclass(frozen=True)
class Resuming:
    """What makes the streams of the handshake era resumable."""

    store: EventStore
    retry_ms: int
    """What clients are told to wait before they ask again."""


def http_app(server: MCPServer[Any], era: str, resuming: Resuming | None = None) -> ASGIApp:
    """The server at `/mcp`, in one era or both, with `/forget` beside it."""
    store, retry_ms = (resuming.store, resuming.retry_ms) if resuming is not None else (None, None)
    app = server.streamable_http_app(event_store=store, retry_interval=retry_ms)
    manager = server.session_manager

    async def forget(request: Request) -> JSONResponse:
        sessions = dict(manager._server_instances)
        for session, transport in sessions.items():
            await manager._discard_session(session, transport)
        return JSONResponse({"forgotten": len(sessions)})

    app.add_route("/forget", forget, methods=["POST"])

    async def legacy_only(scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse other revisions as servers from before the modern era do."""
        version = _revision(scope)
        if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
            await app(scope, receive, send)
            return
        error = {"code": -32600, "message": f"Bad Request: Unsupported protocol version: {version}"}
        refusal = JSONResponse({"jsonrpc": "2.0", "id": "server-error", "error": error}, status_code=400)
        await refusal(scope, receive, send)

    async def modern_only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/mcp":
            low, security, state = server._lowlevel_server, manager.security_settings, manager._lifespan_state
            await handle_modern_request(low, security, False, state, scope, receive, send)
        else:
            await app(scope, receive, send)

    apps: dict[str, ASGIApp] = {"both": app, "legacy": legacy_only, "modern": modern_only}
    return apps[era]


def _revision(scope: Scope) -> str | None:
    for name, value in scope.get("headers", ()):
        if name == b"mcp-protocol-version":
            return str(value.decode("latin-1"))
    return None


async def serve_stdio(server: MCPServer[Any], era: str) -> None:
    """Serve one client over the standard streams, in one era or in the one it opens with."""
    low = server._lowlevel_server
    async with low.lifespan(low) as state, stdio_server() as (received, sent):
        if era == "legacy":
            await serve_loop(low, received, sent, lifespan_state=state)
        elif era == "modern":
            await _serve_modern_stream(low, received, sent, lifespan_state=state, raise_exceptions=False)
        else:
            await low.run(received, sent, low.create_initialization_options())


def serve(build: Callable[[], MCPServer[Any]], description: str | None, resuming: Resuming | None = None) -> None:
    """Build a server and serve it as the command line says: `[--stdio | --http PORT] [--era both|legacy|modern]`."""
    parser = argparse.ArgumentParser(description=description)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--stdio", action="store_true", help="serve the standard streams (the default)")
    way.add_argument("--http", type=int, metavar="PORT")
    parser.add_argument("--era", choices=("both", "legacy", "modern"), default="both")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    server = build()
    if arguments.http is None:
        asyncio.run(serve_stdio(server, arguments.era))
    else:
        serve_http(http_app(server, arguments.era, resuming), arguments.http)
