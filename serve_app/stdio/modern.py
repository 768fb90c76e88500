"""A client of the modern era: every request stands for itself, and is one POST (2026-07-28)."""

import re
from typing import Final

import msgspec
import structlog

from actors.core import headers, jsonrpc
from actors.core.jsonrpc import Message
from actors.core.revisions import LATEST_MODERN
from serve_app.stdio.endpoint import TROUBLES, Endpoint
from serve_app.stdio.incoming import Asked, Told
from serve_app.stdio.relay import Relay, Response, Say
from serve_app.stdio.tool_headers import ToolHeaders

LIST_ID: Final = b'"only1mcp-tools"'
"""Of the lists that the bridge asks for itself; the client never hears of them."""

_visible: Final = re.compile(r"[\x21-\x7e]{1,256}").fullmatch
"""What may be a header as it is."""

log = structlog.get_logger()


class Modern:
    """Answers the requests of a modern client."""

    def __init__(self, endpoint: Endpoint, say: Say) -> None:
        self._endpoint = endpoint
        self._say = say
        self._tools = ToolHeaders()
        self._revision = LATEST_MODERN

    async def answer(self, asked: Asked) -> bytes:
        """Pass a request on, and what the gateway says before its response; gives the response.

        Cancelled, it closes the stream, which is what cancels the call at the gateway.
        """
        revision = jsonrpc.text(asked.meta.get(jsonrpc.PROTOCOL_VERSION_KEY)) or self._revision
        if not _visible(revision):
            return _refused(asked, jsonrpc.INVALID_PARAMS, "params._meta has a malformed protocol version")
        if not _visible(asked.method):
            return _refused(asked, jsonrpc.METHOD_NOT_FOUND, "Method not found")
        self._revision = revision
        key = headers.NAME_KEYS.get(asked.method)
        name = jsonrpc.text(asked.params.get(key)) if key is not None else None
        marks = headers.routing_headers(asked.method, name, revision)
        if asked.method != "tools/call" or name is None:
            return await self._post(asked, marks)
        return await self._call(asked, name, marks)

    async def tell(self, told: Told) -> None:
        """Pass a notification on. This revision has none over HTTP but those of extensions."""
        if not _visible(told.method):
            return
        marks = headers.routing_headers(told.method, None, self._revision)
        try:
            async with self._endpoint.send("POST", marks, told.body, side=True) as response:
                if response.status >= 300:
                    log.warning("notification_refused", method=told.method, status=response.status)
        except TROUBLES as error:
            log.warning("notification_lost", method=told.method, reason=self._endpoint.trouble(error).detail)

    async def _call(self, asked: Asked, name: str, marks: dict[str, str]) -> bytes:
        """Call a tool; once more if the gateway has another schema of it, because such a call has not run."""
        try:
            arguments = jsonrpc.value(asked.params.get("arguments"))
        except msgspec.DecodeError:
            arguments = None
        arguments = arguments if isinstance(arguments, dict) else {}

        async def fetch(cursor: str | None) -> bytes | None:
            return await self._list(asked, cursor)

        params = await self._tools.headers(name, arguments, fetch)
        relay = Relay(self._endpoint, asked.id, self._hear)
        line = await self._exchange(relay, asked, marks | params)
        if relay.response is None or _error_code(relay.response) != jsonrpc.HEADER_MISMATCH:
            return line
        self._tools.forget()
        again = await self._tools.headers(name, arguments, fetch)
        return line if again == params else await self._post(asked, marks | again)

    async def _list(self, asked: Asked, cursor: str | None) -> bytes | None:
        """One page of the tools, asked for with the envelope of the client's own request."""
        meta = {key: value for key, value in asked.meta.items() if key != jsonrpc.PROGRESS_KEY}
        params = {"_meta": meta} if cursor is None else {"_meta": meta, "cursor": cursor}
        body = jsonrpc.encode({"jsonrpc": "2.0", "id": msgspec.Raw(LIST_ID), "method": "tools/list", "params": params})
        listed = Asked(LIST_ID, "", "tools/list", {}, {}, body)
        relay = Relay(self._endpoint, LIST_ID, _ignore)
        await self._exchange(relay, listed, headers.routing_headers("tools/list", None, self._revision))
        if relay.response is None or not relay.response.message.result:
            return None
        return bytes(relay.response.message.result)

    async def _post(self, asked: Asked, marks: dict[str, str]) -> bytes:
        relay = Relay(self._endpoint, asked.id, self._hear)
        line = await self._exchange(relay, asked, marks)
        if asked.method == "tools/list" and relay.response is not None and relay.response.message.result:
            self._tools.learn(bytes(relay.response.message.result))
        return line

    async def _exchange(self, relay: Relay, asked: Asked, marks: dict[str, str]) -> bytes:
        try:
            async with self._endpoint.send("POST", marks, asked.body, side=False) as response:
                trouble = await relay.read(response)
        except TROUBLES as error:
            trouble = self._endpoint.trouble(error)
        return relay.line(trouble)

    async def _hear(self, line: bytes, message: Message) -> None:
        if message.id:  # a request, of which this era has none of servers (2026-07-28, transports/stdio)
            log.warning("request_of_server_dropped", method=message.method)
            return
        if message.method == "notifications/tools/list_changed":
            self._tools.forget()
        await self._say(line)


def _refused(asked: Asked, code: int, reason: str) -> bytes:
    return jsonrpc.error_response(asked.id, jsonrpc.error(code, reason))


def _error_code(response: Response) -> int | None:
    if not response.message.error:
        return None
    try:
        return jsonrpc.decode_error(response.message.error).code
    except msgspec.DecodeError:
        return None


async def _ignore(line: bytes, message: Message) -> None:
    return
