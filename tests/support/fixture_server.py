"""A server with some of everything: `python -m tests.support.fixture_server [--stdio | --http PORT] [--era …]`.

`--http 0` chooses a port; either way a line `listening PORT` follows, and the endpoint is `/mcp`. The handshake era has
sessions there; `POST /forget` ends them all behind the clients' backs, as a restart would, and answers how many.
"""

import argparse
import asyncio
import warnings
from typing import Any, Final

from mcp.server._streamable_http_modern import handle_modern_request
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import _serve_modern_stream, serve_loop
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types import (
    INVALID_PARAMS,
    EmptyResult,
    ListToolsResult,
    PaginatedRequestParams,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.fixture_content import add_content
from tests.support.fixture_tools import UNKNOWN_RESULT_FIELDS, UNKNOWN_TOOL_FIELDS, State, add_tools
from tests.support.http_listener import serve_http

PAGE_SIZE: Final = 10
INSTRUCTIONS: Final = "Use `echo` first."

Ctx = ServerRequestContext[Any, Any]


def build() -> MCPServer[Any]:
    """The server, with a state of its own."""
    state = State()
    server: MCPServer[Any] = MCPServer(
        "fixture", title="The fixture", version="7.1", instructions=INSTRUCTIONS, log_level="WARNING"
    )
    add_tools(server, state)
    add_content(server, state)
    _add_pages(server)
    _add_sessions(server, state)
    server.middleware.append(_beyond_the_schema)
    return server


async def _beyond_the_schema(ctx: Ctx, call_next: CallNext) -> HandlerResult:
    """Add what the SDK would not let out: unknown fields, and change notifications announced at `initialize`."""
    result = await call_next(ctx)
    if not isinstance(result, dict):
        return result
    match ctx.method, ctx.params:
        case "initialize", _:
            for kind in ("tools", "prompts", "resources"):
                result["capabilities"][kind]["listChanged"] = True
        case "tools/list", _:
            for tool in result["tools"]:
                if tool["name"] == "annotated":
                    tool.update(UNKNOWN_TOOL_FIELDS)
        case "tools/call", {"name": "annotated"}:
            result.update(UNKNOWN_RESULT_FIELDS)
    return result


def _add_pages(server: MCPServer[Any]) -> None:
    async def list_tools(ctx: Ctx, params: PaginatedRequestParams) -> ListToolsResult:
        tools = await server.list_tools()
        start = 0
        if params.cursor is not None:
            if not params.cursor.startswith("from-") or not params.cursor[5:].isdecimal():
                raise MCPError(INVALID_PARAMS, "unknown cursor")
            start = int(params.cursor[5:])
        end = start + PAGE_SIZE
        return ListToolsResult(tools=tools[start:end], next_cursor=f"from-{end}" if end < len(tools) else None)

    server._lowlevel_server.add_request_handler("tools/list", PaginatedRequestParams, list_tools)


def _add_sessions(server: MCPServer[Any], state: State) -> None:
    async def initialized(ctx: Ctx, params: Any) -> None:
        state.sessions.append(ctx.session)

    async def subscribe(ctx: Ctx, params: SubscribeRequestParams) -> EmptyResult:
        state.subscribers.setdefault(str(params.uri), []).append(ctx.session)
        return EmptyResult()

    async def unsubscribe(ctx: Ctx, params: UnsubscribeRequestParams) -> EmptyResult:
        uri = str(params.uri)
        kept = [one for one in state.subscribers.get(uri, ()) if one._connection is not ctx.session._connection]
        state.subscribers[uri] = kept
        return EmptyResult()

    async def set_level(ctx: Ctx, params: SetLevelRequestParams) -> EmptyResult:
        state.log_level = params.level
        return EmptyResult()

    low = server._lowlevel_server
    low.add_notification_handler("notifications/initialized", PaginatedRequestParams, initialized)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)


def http_app(server: MCPServer[Any], era: str) -> ASGIApp:
    """The server at `/mcp`, in one era or both, with `/forget` beside it."""
    app = server.streamable_http_app()
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
            low = server._lowlevel_server
            await handle_modern_request(low, None, False, manager._lifespan_state, scope, receive, send)
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


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
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
        serve_http(http_app(server, arguments.era), arguments.http)


if __name__ == "__main__":
    main()
