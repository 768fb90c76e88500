"""A server that writes calls down and does as its mood says: `python -m tests.support.traffic_server JOURNAL PORT`.

It speaks streamable HTTP of the handshake era, without sessions. `note` may run once only; `read` may run any number of
times, and says so. What ran is in the journals: of `note` in JOURNAL, of `read` in JOURNAL.read. `POST /mood` with
`{"slow_ms": 2000}` makes every call of a tool so much slower, with `{"garbage": true}` their answers are no JSON, and
with `{}` all is well again.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.support.cluster_server import open_journal, write_note
from tests.support.echo_server import Receive, Scope, Send
from tests.support.http_listener import serve_http

READS: Final = ".read"
"""What the name of the journal of `read` ends with."""

SCHEMA: Final = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS: Final = [
    {"name": "note", "inputSchema": SCHEMA},
    {"name": "read", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}},
]
INITIALIZED: Final = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "traffic", "version": "1"},
}

Json = dict[str, Any]


def reads_of(journal: Path) -> Path:
    """The journal of `read`."""
    return journal.with_name(journal.name + READS)


class TrafficApp:
    """The ASGI application."""

    def __init__(self, journal: Path) -> None:
        self._journals = {"note": open_journal(str(journal)), "read": open_journal(str(reads_of(journal)))}
        self._mood: Json = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is served")  # uvicorn offers a lifespan, and goes on without
        status, body = await self._respond(scope, await _whole(receive))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Scope, body: bytes) -> tuple[int, bytes]:
        if scope["method"] != "POST":
            return 405, b""
        message = json.loads(body)
        if scope["path"] == "/mood":
            self._mood = message
            return 200, b"{}"
        if "id" not in message:
            return 202, b""
        member = await self._answer(message["method"], message.get("params", {}))
        if member is None:
            return 200, b"{no answer at all"
        return 200, json.dumps({"jsonrpc": "2.0", "id": message["id"], **member}).encode()

    async def _answer(self, method: str, params: Json) -> Json | None:
        match method:
            case "initialize":
                return {"result": INITIALIZED}
            case "tools/list":
                return {"result": {"tools": TOOLS}}
            case "ping":
                return {"result": {}}
            case "tools/call":
                return await self._call(params["name"], params["arguments"])
        return {"error": {"code": -32601, "message": f"unknown: {method}"}}

    async def _call(self, tool: str, arguments: Json) -> Json | None:
        write_note(self._journals[tool], arguments["text"])
        await asyncio.sleep((arguments.get("delay_ms", 0) + self._mood.get("slow_ms", 0)) / 1000)
        if self._mood.get("garbage"):
            return None
        return {"result": {"content": [{"type": "text", "text": arguments["text"]}]}}


async def _whole(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


if __name__ == "__main__":
    serve_http(TrafficApp(Path(sys.argv[1])), int(sys.argv[2]))
