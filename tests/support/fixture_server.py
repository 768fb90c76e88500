"""A server with some of everything: `python -m tests.support.fixture_server [--stdio | --http PORT] [--era …]`.

How it is served, and what `/forget` does, is told in `sdk_server`.
"""

from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, ListToolsResult, PaginatedRequestParams

from tests.support.fixture_asks import add_asks
from tests.support.fixture_content import add_content
from tests.support.fixture_kinds import add_kinds
from tests.support.fixture_tools import UNKNOWN_RESULT_FIELDS, UNKNOWN_TOOL_FIELDS, State, add_tools
from tests.support.sdk_server import serve
from tests.support.sdk_sessions import add_sessions, announce_changes

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
    add_asks(server)
    add_kinds(server)
    _add_pages(server)
    add_sessions(server, state)
    server.middleware.extend((announce_changes, _beyond_the_schema))
    return server


async def _beyond_the_schema(ctx: Ctx, call_next: CallNext) -> HandlerResult:
    """Add fields that the SDK would not let out."""
    result = await call_next(ctx)
    if not isinstance(result, dict):
        return result
    match ctx.method, ctx.params:
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


if __name__ == "__main__":
    serve(build, __doc__)
