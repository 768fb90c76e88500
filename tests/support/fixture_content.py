"""The resources, prompts and completions of the fixture server."""

from typing import Any, Final

from mcp.server.mcpserver import MCPServer
from mcp_types import (
    Annotations,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)
from mcp_types import Completion as Completed

from tests.support.fixture_tools import COUNTER_URI, State

BLOB: Final = bytes(range(256))
STYLES: Final = ("curt", "formal", "friendly")
KEYS: Final = ("alpha", "beta", "gamma")


def add_content(server: MCPServer[Any], state: State) -> None:
    """Register resources, a template, prompts and completions."""
    _add_resources(server, state)
    _add_prompts(server)

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # untyped in the SDK
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completed:
        known = {"style": STYLES, "key": KEYS}.get(argument.name, ())
        values = [value for value in known if value.startswith(argument.value)]
        return Completed(values=values, total=len(values), has_more=False)


def _add_resources(server: MCPServer[Any], state: State) -> None:
    @server.resource(
        "fixture://text",
        title="A text",
        mime_type="text/markdown",
        annotations=Annotations(audience=["user"], priority=0.5),
        meta={"com.example/resource": 1},
    )
    def text() -> str:
        """A text of a few words."""
        return "# Grüße\nfrom the fixture"

    @server.resource("fixture://blob", mime_type="application/octet-stream")
    def blob() -> bytes:
        """Every byte once."""
        return BLOB

    @server.resource(COUNTER_URI, mime_type="text/plain")
    def counter() -> str:
        """A number that `touch` raises."""
        return str(state.counter)

    @server.resource("fixture://items/{key}", title="An item", mime_type="text/plain")
    def item(key: str) -> str:
        """The item with this key."""
        return f"item {key}"


def _add_prompts(server: MCPServer[Any]) -> None:
    @server.prompt(title="Greet somebody")
    def greet(name: str, style: str = "formal") -> str:
        """Ask for a greeting of somebody, in a style."""
        return f"Greet {name} in a {style} way."

    @server.prompt()
    def plain() -> str:
        """A prompt without arguments."""
        return "Say something."
