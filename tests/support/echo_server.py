"""A server that does as little as one can: `python -m tests.support.echo_server [--stdio | --http PORT]`.

It has one tool, `echo`, and what is measured through it is everything else. Over HTTP it answers JSON only, without
state in the modern era, with session ids in the handshake era; it checks the headers that a client owes it, so that a
wrong client is not fast.
"""

import argparse
import secrets
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import msgspec

from tests.support.http_listener import serve_http

MODERN: Final = "2026-07-28"
LEGACY: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_METHODS: Final = frozenset({"server/discover", "tools/list", "tools/call"})
MAX_SESSIONS: Final = 10_000

SERVER_INFO: Final = b'{"name":"echo","version":"1"}'
TOOL: Final = (
    b'{"name":"echo","description":"Say the text back.","inputSchema":{"type":"object",'
    b'"properties":{"text":{"type":"string"}},"required":["text"]},"annotations":{"readOnlyHint":true}}'
)
MODERN_MEMBERS: Final = b'"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":%b},' % SERVER_INFO
CACHE_MEMBERS: Final = b'"ttlMs":60000,"cacheScope":"public",'
DISCOVERED: Final = b'{%b%b"supportedVersions":["%b"],"capabilities":{"tools":{}}}' % (
    MODERN_MEMBERS,
    CACHE_MEMBERS,
    MODERN.encode(),
)
INITIALIZED: Final = b'{"protocolVersion":"%b","capabilities":{"tools":{}},"serverInfo":%b}'


class Meta(msgspec.Struct):
    """The member that makes a request modern."""

    revision: str | None = msgspec.field(default=None, name="io.modelcontextprotocol/protocolVersion")
    capabilities: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="io.modelcontextprotocol/clientCapabilities")


class Arguments(msgspec.Struct):
    """The arguments of `echo`."""

    text: msgspec.Raw = msgspec.Raw()


class Params(msgspec.Struct):
    """As much of any parameters as matters here."""

    meta: Meta = msgspec.field(default_factory=Meta, name="_meta")
    name: str | None = None
    arguments: Arguments = msgspec.field(default_factory=Arguments)
    revision: str | None = msgspec.field(default=None, name="protocolVersion")


class Request(msgspec.Struct):
    """A request, or a notification if it has no id."""

    method: str
    id: msgspec.Raw = msgspec.Raw()
    params: Params = msgspec.field(default_factory=Params)

    @property
    def modern(self) -> bool:
        """Whether it carries the envelope of the modern era."""
        return self.params.meta.revision is not None


decode: Final = msgspec.json.Decoder(Request).decode


def answer(request: Request) -> bytes:
    """The response to a request."""
    params = request.params
    members = MODERN_MEMBERS if request.modern else b""
    match request.method:
        case "tools/call" if params.name == "echo" and params.arguments.text:
            return _result(request, b'{%b"content":[{"type":"text","text":%b}]}' % (members, params.arguments.text))
        case "tools/call":
            return _error(request.id, -32602, "unknown tool, or no text")
        case "tools/list":
            return _result(request, b'{%b%b"tools":[%b]}' % (members, CACHE_MEMBERS if request.modern else b"", TOOL))
        case "server/discover" if request.modern:
            return _result(request, DISCOVERED)
        case "ping" if not request.modern:
            return _result(request, b"{}")
        case "initialize" if not request.modern:
            revision = params.revision if params.revision in LEGACY else LEGACY[-1]
            return _result(request, INITIALIZED % (revision.encode(), SERVER_INFO))
    return _error(request.id, -32601, f"unknown method {request.method}")


def _result(request: Request, result: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request.id, result)


def _error(request_id: msgspec.Raw, code: int, message: str, data: Any = None) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (request_id or b"null", msgspec.json.encode(error))


Headers = dict[bytes, bytes]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Response = tuple[int, bytes, list[tuple[bytes, bytes]]]


class EchoApp:
    """The ASGI application."""

    def __init__(self) -> None:
        self._sessions: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is served")  # uvicorn offers a lifespan, and goes on without
        headers: Headers = dict(scope["headers"])
        status, body, extra = await self._respond(scope, headers, receive)
        length = b"%d" % len(body)
        start = [(b"content-type", b"application/json"), (b"content-length", length), *extra]
        await send({"type": "http.response.start", "status": status, "headers": start})
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Scope, headers: Headers, receive: Receive) -> Response:
        if scope["path"] != "/mcp":
            return 404, b"", []
        session = headers.get(b"mcp-session-id")
        if scope["method"] == "DELETE" and session in self._sessions:
            self._sessions.discard(session)
            return 200, b"", []
        if scope["method"] != "POST":
            return 405, b"", [(b"allow", b"POST, DELETE")]
        message = await receive()
        body: bytes = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        try:
            request = decode(body)
        except msgspec.DecodeError:
            return 400, _error(msgspec.Raw(), -32700, "not one request"), []
        revision = headers.get(b"mcp-protocol-version", b"").decode("latin-1")
        if revision and revision not in LEGACY:
            return self._modern(request, revision, headers)
        return self._legacy(request, session)

    def _modern(self, request: Request, revision: str, headers: Headers) -> Response:
        if revision != MODERN:
            data = {"supported": [MODERN], "requested": revision}
            return 400, _error(request.id, -32022, "unsupported revision", data), []
        if not request.id:
            return 202, b"", []
        name = request.params.name
        if (
            request.params.meta.revision != revision
            or headers.get(b"mcp-method", b"").strip() != request.method.encode()
            or (name is not None and headers.get(b"mcp-name", b"").strip() != name.encode())
        ):
            return 400, _error(request.id, -32020, "headers and body differ"), []
        if not request.params.meta.capabilities:
            return 400, _error(request.id, -32602, "no client capabilities"), []
        return (200 if request.method in MODERN_METHODS else 404), answer(request), []

    def _legacy(self, request: Request, session: bytes | None) -> Response:
        if request.method == "initialize":
            if len(self._sessions) >= MAX_SESSIONS:
                return 503, _error(request.id, -32603, "too many sessions"), []
            session = secrets.token_hex(16).encode()
            self._sessions.add(session)
            return 200, answer(request), [(b"mcp-session-id", session)]
        if session not in self._sessions:
            status, reason = (400, "no session id") if session is None else (404, "unknown session")
            return status, _error(request.id, -32600, reason), []
        return (200, answer(request), []) if request.id else (202, b"", [])


def serve_stdio() -> None:
    """Answer line by line until the input ends."""
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        request = decode(line)
        if request.id:
            out.write(answer(request) + b"\n")
            out.flush()


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--stdio", action="store_true", help="serve the standard streams (the default)")
    way.add_argument("--http", type=int, metavar="PORT", help="0 chooses one")
    port: int | None = parser.parse_args().http
    if port is None:
        serve_stdio()
    else:
        serve_http(EchoApp(), port)


if __name__ == "__main__":
    main()
