"""The server that the official conformance tool talks to: `python -m tests.support.conformance_server …`.

It has the tools, prompts and resources whose names the tool's scenarios fix, and each works with clients of both eras.
How it is served is told in `sdk_server`.
"""

from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer

from tests.support.conformance_asks import add_asks
from tests.support.conformance_content import add_content
from tests.support.conformance_schemas import DIALECT_2020_12
from tests.support.conformance_tools import State, add_tools
from tests.support.event_store import BoundedEventStore
from tests.support.sdk_server import Resuming, serve
from tests.support.sdk_sessions import add_sessions, announce_changes

RETRY_MS: Final = 100
"""Soon enough to be back before `test_reconnection` ends."""


def build() -> MCPServer[Any]:
    """The server, with a state of its own."""
    state = State()
    server: MCPServer[Any] = MCPServer(
        "conformance", title="The conformance server", version="1.0", log_level="CRITICAL"
    )
    add_tools(server, state)
    add_asks(server)
    add_content(server)
    add_sessions(server, state)
    server.middleware.extend((announce_changes, _raw_schema))
    return server


async def _raw_schema(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """List one tool with keywords that the SDK would not write."""
    result = await call_next(ctx)
    if ctx.method == "tools/list" and isinstance(result, dict):
        for tool in result["tools"]:
            if tool["name"] == "json_schema_2020_12_tool":
                tool["inputSchema"] = DIALECT_2020_12
    return result


if __name__ == "__main__":
    serve(build, __doc__, Resuming(BoundedEventStore(), RETRY_MS))
