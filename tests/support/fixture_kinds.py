"""The tools of the fixture server whose results not every revision can read, and a completion that asks.

A modern client gets of `numbers` a structured content that is no object, and its schema; the handshake era has neither.
"""

from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import AudioContent, CallToolResult, CreateMessageResult, ResourceLink, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from tests.support.conformance_asks import sample

NUMBERS: Final = [1, 2, 3]
ASKING_ARGUMENT: Final = "asking"
"""Completing an argument of this name asks the client first, in the handshake era."""

Ctx = ServerRequestContext[Any, Any]


def add_kinds(server: MCPServer[Any]) -> None:
    """Register the tools, and what they need beyond the SDK."""

    @server.tool(structured_output=False)
    def kinds() -> CallToolResult:
        """Answer with content of several kinds."""
        audio = AudioContent(data="AAAA", mime_type="audio/wav")
        link = ResourceLink(name="text", uri="fixture://text", mime_type="text/markdown")
        return CallToolResult(content=[TextContent(text="three kinds"), audio, link])

    @server.tool(structured_output=False)
    def numbers() -> str:
        """Answer with a list of numbers."""
        return "some numbers"

    server.middleware.extend((_with_numbers, _ask_during_completion))


async def _with_numbers(ctx: Ctx, call_next: CallNext) -> HandlerResult:
    result = await call_next(ctx)
    if not isinstance(result, dict) or ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return result
    match ctx.method, ctx.params:
        case "tools/list", _:
            for tool in result["tools"]:
                if tool["name"] == "numbers":
                    tool["outputSchema"] = {"type": "array", "items": {"type": "integer"}}
        case "tools/call", {"name": "numbers"}:
            result["structuredContent"] = NUMBERS
    return result


async def _ask_during_completion(ctx: Ctx, call_next: CallNext) -> HandlerResult:
    params = ctx.params or {}
    if ctx.method != "completion/complete" or params.get("argument", {}).get("name") != ASKING_ARGUMENT:
        return await call_next(ctx)
    metadata = ServerMessageMetadata(related_request_id=ctx.request_id)
    try:
        answer = await ctx.session.send_request(sample("Complete this"), CreateMessageResult, metadata=metadata)
        told = answer.content.text if isinstance(answer.content, TextContent) else ""
    except MCPError as error:
        told = f"{error.error.code} {error.error.message}"
    return {"completion": {"values": [told], "total": 1, "hasMore": False}}
