"""A WebSocket as the two streams that the SDK's `ClientSession` speaks over; the SDK has no client for it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter


@asynccontextmanager
async def ws_client(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[tuple[Any, Any]]:
    """Connect, with the subprotocol `mcp`, as long as the block lasts."""
    received, to_session = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    from_session, sent = anyio.create_memory_object_stream[SessionMessage](0)
    incoming, outgoing = to_session, sent

    async with aiohttp.ClientSession(headers=headers) as http, http.ws_connect(url, protocols=("mcp",)) as socket:
        assert socket.protocol == "mcp"

        async def read() -> None:
            async for frame in socket:
                await received.send(SessionMessage(jsonrpc_message_adapter.validate_json(frame.data)))

        async def write() -> None:
            async for message in outgoing:
                await socket.send_str(message.message.model_dump_json(by_alias=True, exclude_unset=True))

        async with anyio.create_task_group() as tasks, received, from_session, incoming, outgoing:
            tasks.start_soon(read)
            tasks.start_soon(write)
            yield incoming, from_session
            tasks.cancel_scope.cancel()
