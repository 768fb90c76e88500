"""The fixture server over HTTP+SSE: `python -m tests.support.fixture_sse PORT [--era legacy|both]`.

Port 0 chooses one; either way a line `listening PORT` follows. The stream is at `/sse`, and knows the handshake era
only, unless told otherwise: that is what servers of this transport are.
"""

import argparse
import warnings
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.runner import serve_loop
from mcp.server.sse import SseServerTransport
from mcp.shared.exceptions import MCPDeprecationWarning
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.fixture_server import build
from tests.support.http_listener import serve_http

NOT_ALLOWED: list[Any] = [
    {"type": "http.response.start", "status": 405, "headers": [(b"allow", b"GET")]},
    {"type": "http.response.body", "body": b"Method Not Allowed"},
]


def sse_app(server: MCPServer[Any], era: str) -> ASGIApp:
    """The server with its stream at `/sse` and its messages at `/messages/`."""
    transport = SseServerTransport("/messages/")
    low = server._lowlevel_server

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/messages/"):
            await transport.handle_post_message(scope, receive, send)
        elif scope["method"] != "GET":
            for message in NOT_ALLOWED:
                await send(message)
        else:
            async with low.lifespan(low) as state, transport.connect_sse(scope, receive, send) as (received, sent):
                if era == "legacy":
                    await serve_loop(low, received, sent, lifespan_state=state)
                else:
                    await low.run(received, sent, low.create_initialization_options())

    return app


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--era", choices=("legacy", "both"), default="legacy")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    serve_http(sse_app(build(), arguments.era), arguments.port)


if __name__ == "__main__":
    main()
