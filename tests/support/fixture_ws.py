"""The fixture server over WebSocket: `python -m tests.support.fixture_ws PORT`.

Port 0 chooses one; either way a line `listening PORT` follows. The endpoint is `/ws`, and knows the handshake era only.
"""

import argparse
import asyncio
import warnings
from typing import Any

import anyio
from aiohttp import WSMsgType, web
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import serve_loop
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError

from tests.support.fixture_server import build


class WsFace:
    """Serves each WebSocket its own session."""

    def __init__(self, server: MCPServer[Any]) -> None:
        self._low = server._lowlevel_server

    async def answer(self, request: web.Request) -> web.WebSocketResponse:
        """The handler."""
        socket = web.WebSocketResponse(protocols=("mcp",), max_msg_size=16 * 1024 * 1024)
        await socket.prepare(request)
        to_server, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        sent, from_server = anyio.create_memory_object_stream[SessionMessage](0)

        async def write() -> None:
            async for message in from_server:
                await socket.send_str(message.message.model_dump_json(by_alias=True, exclude_unset=True))

        async with self._low.lifespan(self._low) as state, anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            tasks.start_soon(lambda: serve_loop(self._low, received, sent, lifespan_state=state))
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    await to_server.send(_decode(frame.data))
            tasks.cancel_scope.cancel()
        return socket


def _decode(text: str) -> SessionMessage | Exception:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(text, by_name=False))
    except ValidationError as error:
        return error


async def serve(port: int) -> None:
    """Serve until the process is told to end."""
    app = web.Application()
    app.router.add_get("/ws", WsFace(build()).answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"listening {runner.addresses[0][1]}", flush=True)  # noqa: T201
    await asyncio.Event().wait()


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
