"""The tools of the fixture server: each shows one thing that a gateway has to carry unchanged."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, LoggingLevel, TextContent, ToolAnnotations
from pydantic import BaseModel, Field

COUNTER_URI: Final = "fixture://counter"
FILLERS: Final = 25
"""Tools that do nothing: enough for several pages."""

UNKNOWN_TOOL_FIELDS: Final[dict[str, Any]] = {
    "x-vendor": {"nested": [1, 2.5, None, {"deep": "ü"}]},
    "futureField": 12345678901234567890,
}
"""What `annotated` carries in `tools/list` beyond any schema; the number exceeds 64 bits."""

UNKNOWN_RESULT_FIELDS: Final[dict[str, Any]] = {"x-result": {"kept": True}}
"""What the result of `annotated` carries beyond any schema."""


class Ran(BaseModel):
    """How often `slow` ran in this process, and how it ended."""

    started: int = 0
    finished: int = 0
    cancelled: int = 0


@dataclass
class State:
    """What the server remembers, for all sessions together."""

    ran: Ran = field(default_factory=Ran)
    counter: int = 0
    added: int = 0
    log_level: LoggingLevel | None = None
    """The level of the last `logging/setLevel`. It filters nothing: that is the gateway's to show."""
    sessions: deque[ServerSession] = field(default_factory=lambda: deque(maxlen=64))
    """Handshake sessions, the newest last."""
    subscribers: dict[str, list[ServerSession]] = field(default_factory=dict)


class Annotated_(BaseModel):  # noqa: N801 - `Annotated` is taken by typing
    """The structured output of `annotated`."""

    value: int
    unit: str


def add_tools(server: MCPServer[Any], state: State) -> None:
    """Register every tool."""
    _add_calls(server, state)
    _add_notifications(server, state)
    _add_changes(server, state)
    for number in range(FILLERS):
        server.add_tool(_filler, name=f"filler_{number:02}", description=f"Does nothing, number {number}.")


def _filler() -> str:
    return "nothing"


def _add_calls(server: MCPServer[Any], state: State) -> None:  # noqa: C901 - one list of small functions
    @server.tool(structured_output=False)
    def echo(text: str) -> str:
        """Say the text back."""
        return text

    @server.tool(structured_output=False)
    async def slow(seconds: Annotated[float, Field(ge=0, le=600)]) -> str:
        """Take a while, and count how it ended."""
        state.ran.started += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            state.ran.cancelled += 1
            raise
        state.ran.finished += 1
        return f"slept {seconds:g} s"

    @server.tool()
    def ran() -> Ran:
        """Report how often `slow` ran."""
        return state.ran

    @server.tool(structured_output=False)
    async def shuffled(delay_ms: Annotated[int, Field(ge=0, le=60_000)], token: str) -> str:
        """Answer with the token after a delay, so that answers overtake each other."""
        await asyncio.sleep(delay_ms / 1000)
        return token

    @server.tool(structured_output=False)
    def big(size: Annotated[int, Field(ge=0, le=256 * 1024 * 1024)]) -> str:
        """Answer with a text of this many bytes."""
        return "x" * size

    @server.tool(structured_output=False)
    def fail(text: str = "it failed") -> str:
        """Answer with `isError`."""
        raise ToolError(text)

    @server.tool(name="raise", structured_output=False)
    def raise_(code: int = -31000, message: str = "raised", data: dict[str, Any] | None = None) -> str:
        """Answer with a JSON-RPC error."""
        raise MCPError(code, message, data)

    @server.tool(structured_output=False)
    def regional(
        region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})], query: str = "", size: int = 0
    ) -> str:
        """A tool whose `region` also travels in the header `Mcp-Param-Region` (modern HTTP)."""
        return f"{region}: {query}{size or ''}"

    @server.tool()
    def who(ctx: Context) -> dict[str, Any]:
        """Report what the server saw of this request: headers, raw parameters, client, revision."""
        request = ctx.request_context
        client = request.session.client_params
        capabilities = request.session.client_capabilities
        return {
            "headers": dict(request.request.headers) if request.request is not None else None,
            "params": dict(request.params or {}),
            "request_id": request.request_id,
            "protocol_version": request.protocol_version,
            "client_info": client and client.client_info.model_dump(by_alias=True, exclude_none=True),
            "capabilities": capabilities and capabilities.model_dump(by_alias=True, exclude_none=True),
            "log_level": state.log_level,
        }

    @server.tool(
        title="Annotated",
        annotations=ToolAnnotations(title="Shown", read_only_hint=True, idempotent_hint=True, open_world_hint=False),
        meta={"com.example/tool": {"kept": [1, 2, 3]}},
    )
    def annotated(value: int = 7) -> Annotated[CallToolResult, Annotated_]:
        """A tool and a result with every optional field, and some that no revision knows."""
        return CallToolResult(
            content=[TextContent(text=f"{value} kg", _meta={"com.example/content": True})],
            structured_content={"value": value, "unit": "kg"},
            _meta={"com.example/result": "kept"},
        )


def _add_notifications(server: MCPServer[Any], state: State) -> None:
    @server.tool(structured_output=False)
    async def progress(
        ctx: Context,
        steps: Annotated[int, Field(ge=0, le=10_000)],
        interval: Annotated[float, Field(ge=0, le=60)] = 0.0,
    ) -> str:
        """Report progress at every step."""
        for done in range(1, steps + 1):
            await asyncio.sleep(interval)
            await ctx.report_progress(done, steps, f"step {done}")
        return f"{steps} steps"

    @server.tool(structured_output=False)
    async def log(ctx: Context, level: LoggingLevel = "info", text: str = "logged", count: int = 1) -> str:
        """Send log messages; modern clients get them only if their request asked for the level."""
        for number in range(count):
            await ctx.request_context.session.send_log_message(
                level, {"text": text, "number": number}, "fixture", related_request_id=ctx.request_id
            )
        return f"{count} messages"


def _add_changes(server: MCPServer[Any], state: State) -> None:
    @server.tool(structured_output=False)
    async def change_tools(ctx: Context) -> str:
        """Add a tool and tell every client that the list changed."""
        state.added += 1
        name = f"added_{state.added}"
        server.add_tool(_filler, name=name, description="Came later.")
        await ctx.notify_tools_changed()
        for session in state.sessions:
            await session.send_tool_list_changed()
        return name

    @server.tool(structured_output=False)
    async def change_prompts(ctx: Context) -> str:
        """Tell every client that the prompts changed."""
        await ctx.notify_prompts_changed()
        for session in state.sessions:
            await session.send_prompt_list_changed()
        return "told"

    @server.tool(structured_output=False)
    async def change_resources(ctx: Context) -> str:
        """Tell every client that the resources changed."""
        await ctx.notify_resources_changed()
        for session in state.sessions:
            await session.send_resource_list_changed()
        return "told"

    @server.tool(structured_output=False)
    async def touch(ctx: Context) -> str:
        """Raise the counter resource by one and tell those who subscribed to it."""
        state.counter += 1
        await ctx.notify_resource_updated(COUNTER_URI)
        for session in state.subscribers.get(COUNTER_URI, ()):
            await session.send_resource_updated(COUNTER_URI)
        return str(state.counter)
