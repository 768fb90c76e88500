"""The POSTs of clients of both eras, at one ingress."""

import json
from collections.abc import Mapping
from typing import Any

from actors.core.headers import NAME_KEYS, encode_value
from tests.support.asgi import Application, Conversation, Headers, start

MODERN = "2026-07-28"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
BOTH = "application/json, text/event-stream"


def modern_meta(**more: Any) -> dict[str, Any]:
    return {VERSION_KEY: MODERN, CAPABILITIES_KEY: {}, **more}


class ModernClient:
    """A client of the modern era at one endpoint."""

    def __init__(self, application: Application, path: str = "/mcp", headers: Headers = ()) -> None:
        self._application = application
        self._path = path
        self._headers = dict(headers)

    def start(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        request_id: Any = 1,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Conversation:
        """Send a request as it should be but for `meta`, and for `headers`, of which `None` takes one away."""
        params = dict(params or {})
        marks: dict[str, str | None] = {"accept": BOTH, "mcp-protocol-version": MODERN, "mcp-method": method}
        name = params.get(NAME_KEYS.get(method, ""))
        if isinstance(name, str):
            marks["mcp-name"] = encode_value(name)
        marks |= self._headers | dict(headers or {})
        body = {
            "jsonrpc": "2.0",
            "id": request_id,
            "method": method,
            "params": {**params, "_meta": modern_meta() if meta is None else meta},
        }
        return self.start_raw(json.dumps(body).encode(), marks)

    def start_raw(self, body: bytes, headers: Mapping[str, str | None]) -> Conversation:
        given = [(name, value) for name, value in headers.items() if value is not None]
        return start(self._application, "POST", self._path, given, [body])

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, **more: Any) -> Conversation:
        """Send a request, and wait for all of the answer."""
        return await self.start(method, params, **more).answered()

    async def call(self, tool: str, arguments: Any = None, **more: Any) -> Conversation:
        """Call a tool, and wait for all of the answer."""
        return await self.ask("tools/call", {"name": tool, "arguments": arguments or {}}, **more)


class LegacyClient:
    """A client of the handshake era at one endpoint."""

    def __init__(
        self, application: Application, path: str = "/mcp", headers: Headers = (), revision: str = "2025-11-25"
    ) -> None:
        self.application = application
        self.session: str | None = None
        self._path = path
        self._headers = dict(headers)
        self._revision = revision

    async def initialize(
        self, revision: str | None = None, capabilities: Mapping[str, Any] | None = None
    ) -> Conversation:
        """Open a session, if the gateway lets us."""
        info = {"name": "test", "version": "1"}
        params = {
            "protocolVersion": revision or self._revision,
            "capabilities": dict(capabilities or {}),
            "clientInfo": info,
        }
        answer = await self.ask("initialize", params, request_id="init", headers={"mcp-protocol-version": None})
        self.session = answer.header("mcp-session-id")
        return answer

    def start(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        request_id: Any = 1,
        headers: Mapping[str, str | None] | None = None,
    ) -> Conversation:
        """Send a request, or a notification if `request_id` is `None`, and do not wait."""
        body: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": dict(params or {})}
        if request_id is not None:
            body["id"] = request_id
        return self.start_raw(body, headers)

    def start_raw(
        self, body: Any, headers: Mapping[str, str | None] | None = None, *, verb: str = "POST"
    ) -> Conversation:
        """Send whatever it is, and do not wait."""
        marks: dict[str, str | None] = {
            "accept": BOTH,
            "mcp-protocol-version": self._revision,
            "mcp-session-id": self.session,
        }
        marks |= self._headers | dict(headers or {})
        given = [(name, value) for name, value in marks.items() if value is not None]
        return start(self.application, verb, self._path, given, [json.dumps(body).encode()])

    async def answer(self, request: Mapping[str, Any], result: Mapping[str, Any]) -> Conversation:
        """Answer a request of the gateway."""
        return await self.start_raw({"jsonrpc": "2.0", "id": request["id"], "result": dict(result)}).answered()

    def listen(self, last_event_id: str | None = None) -> Conversation:
        """Open a stream, and do not wait."""
        return self.start_raw(None, {"last-event-id": last_event_id}, verb="GET")

    def at(self, application: Application) -> "LegacyClient":
        """The same session, at another ingress replica."""
        other = LegacyClient(application, self._path, self._headers.items(), self._revision)
        other.session = self.session
        return other

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, **more: Any) -> Conversation:
        """Send a request or a notification, and wait for all of the answer."""
        return await self.start(method, params, **more).answered()

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> Conversation:
        return await self.ask(method, params, request_id=None)

    async def call(self, tool: str, arguments: Any = None, **more: Any) -> Conversation:
        """Call a tool, and wait for all of the answer."""
        return await self.ask("tools/call", {"name": tool, "arguments": arguments or {}}, **more)
