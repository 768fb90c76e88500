"""What tests need around the SDK's own client: how to start a server for it, and what its answers say."""

from typing import Any, Final

from mcp.client.stdio import StdioServerParameters
from mcp_types import TextContent

from tests.support.processes import ROOT, command

REVISIONS: Final = {"legacy": "2025-11-25", "auto": "2026-07-28"}
"""What each mode of the client ends up with at a server of both eras."""

MODERN_META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
"""The `_meta` of a request that is made by hand."""

MODERN_HEADERS: Final = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}
LEGACY_HEADERS: Final = {"accept": "application/json, text/event-stream"}


def stdio(module: str, *args: str) -> StdioServerParameters:
    """A module of this repository as a server for `mcp.Client`; bytes that are not UTF-8 do not stop the client."""
    executable, *rest = command(module, *args)
    return StdioServerParameters(command=executable, args=rest, cwd=str(ROOT), encoding_error_handler="replace")


def text_of(result: Any) -> str:
    """The text of a result that is one text."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def modern(method: str, **params: Any) -> dict[str, Any]:
    """A modern request, made by hand."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": MODERN_META}}
