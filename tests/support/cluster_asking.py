"""A server that writes every call down and asks its client then: `python -m tests.support.cluster_asking JOURNAL …`.

The other words are those of `sdk_server`. Over HTTP it lives on when the actor in front of it dies, and what it wrote
shows whether a call ran a second time.
"""

import sys
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import InputRequiredResult

from tests.support.cluster_server import open_journal, write_note
from tests.support.conformance_asks import ask, elicit
from tests.support.conformance_schemas import only
from tests.support.sdk_server import serve


def build(journal: int) -> MCPServer[Any]:
    """The server, which writes to this journal."""
    server: MCPServer[Any] = MCPServer("asking", version="1", log_level="WARNING")

    @server.tool(structured_output=False)
    async def consent(ctx: Context, text: str) -> str | InputRequiredResult:
        """Ask for a name, and say the text back."""
        write_note(journal, text)
        answers = await ask(ctx, asked=elicit("What is your name?", only("name", "string")))
        return answers if isinstance(answers, InputRequiredResult) else text

    return server


if __name__ == "__main__":
    opened = open_journal(sys.argv.pop(1))
    serve(lambda: build(opened), __doc__)
