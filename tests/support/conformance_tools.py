"""The tools of the conformance server that only answer, report and notify."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Prompt
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    EmbeddedResource,
    ImageContent,
    LoggingLevel,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

STEP_SECONDS: Final = 0.05
"""Between two notifications, so that they are seen to come one by one."""

AWAY_SECONDS: Final = 0.2
"""How long `test_reconnection` goes on without a stream: longer than clients are told to stay away."""

PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SOUND: Final = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="


@dataclass
class State:
    """What the server keeps of its handshake sessions: a `SessionBook`."""

    sessions: deque[ServerSession] = field(default_factory=lambda: deque(maxlen=64))
    subscribers: dict[str, list[ServerSession]] = field(default_factory=dict)
    log_level: LoggingLevel | None = None


def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    """A resource inside a content list."""
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def add_tools(server: MCPServer[Any], state: State) -> None:
    """Register them."""
    _add_contents(server)
    _add_errors(server)
    _add_notifications(server)
    _add_changes(server, state)

    @server.tool(structured_output=False)
    def json_schema_2020_12_tool() -> str:
        """A tool whose input schema is replaced by `DIALECT_2020_12` when it is listed."""
        return "called"

    @server.tool(structured_output=False)
    def test_x_mcp_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "none") -> str:
        """A tool with an argument that also travels in a header."""
        return f"region={region}"


def _add_contents(server: MCPServer[Any]) -> None:
    @server.tool(structured_output=False)
    def test_simple_text() -> str:
        """A text."""
        return "This is a simple text response for testing."

    @server.tool(structured_output=False)
    def test_image_content() -> ImageContent:
        """An image."""
        return ImageContent(data=PIXEL, mime_type="image/png")

    @server.tool(structured_output=False)
    def test_audio_content() -> AudioContent:
        """A sound."""
        return AudioContent(data=SOUND, mime_type="audio/wav")

    @server.tool(structured_output=False)
    def test_embedded_resource() -> EmbeddedResource:
        """A resource."""
        return embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")

    @server.tool(structured_output=False)
    def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        """A text, an image and a resource."""
        return [
            TextContent(text="Multiple content types test:"),
            ImageContent(data=PIXEL, mime_type="image/png"),
            embedded("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}'),
        ]


def _add_errors(server: MCPServer[Any]) -> None:
    @server.tool(structured_output=False)
    def test_error_handling() -> str:
        """Answer with `isError`."""
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool(structured_output=False)
    def test_missing_capability(ctx: Context) -> str:
        """Refuse clients without sampling."""
        able = ctx.client_capabilities
        if able is None or able.sampling is None:
            missing: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs sampling", missing)
        return "The client declared sampling."


def _add_notifications(server: MCPServer[Any]) -> None:
    async def log_thrice(ctx: Context) -> str:
        """Send three log messages."""
        for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await _log(ctx, text)
            await asyncio.sleep(STEP_SECONDS)
        return "Tool with logging executed successfully"

    server.add_tool(log_thrice, name="test_tool_with_logging", structured_output=False)
    server.add_tool(log_thrice, name="test_logging_tool", structured_output=False)

    @server.tool(structured_output=False)
    async def test_tool_with_progress(ctx: Context) -> str:
        """Report progress three times."""
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100, f"Completed step {done} of 100")
            await asyncio.sleep(STEP_SECONDS)
        return "done"

    @server.tool(structured_output=False)
    async def test_reconnection(ctx: Context) -> str:
        """Close the stream in the middle of the call; the client has to come back for the rest."""
        await _log(ctx, "Before disconnect")
        await ctx.close_sse_stream()
        await asyncio.sleep(AWAY_SECONDS)
        await _log(ctx, "After reconnect")
        return "Reconnection test completed"


async def _log(ctx: Context, text: str) -> None:
    await ctx.session.send_log_message("info", text, "conformance", related_request_id=ctx.request_id)


def _add_changes(server: MCPServer[Any], state: State) -> None:
    # the lists really differ afterwards: whoever compares them before telling its own clients has something to tell
    def dynamic() -> str:
        """Comes and goes."""
        return "dynamic"

    @server.tool(structured_output=False)
    async def test_trigger_tool_change(ctx: Context) -> str:
        """Add a tool, or remove it if it is there, and tell everybody."""
        if any(tool.name == "test_dynamic_tool" for tool in await server.list_tools()):
            server.remove_tool("test_dynamic_tool")
        else:
            server.add_tool(dynamic, name="test_dynamic_tool", structured_output=False)
        await ctx.notify_tools_changed()
        for session in state.sessions:
            await session.send_tool_list_changed()
        return "told"

    @server.tool(structured_output=False)
    async def test_trigger_prompt_change(ctx: Context) -> str:
        """Add a prompt, or remove it if it is there, and tell everybody."""
        if any(prompt.name == "test_dynamic_prompt" for prompt in await server.list_prompts()):
            server.remove_prompt("test_dynamic_prompt")
        else:
            server.add_prompt(Prompt.from_function(dynamic, name="test_dynamic_prompt"))
        await ctx.notify_prompts_changed()
        for session in state.sessions:
            await session.send_prompt_list_changed()
        return "told"
