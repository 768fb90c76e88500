"""Servers of the modern era, 2026-07-28: an envelope in every request, and no session."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog

from actors.core import headers, jsonrpc
from actors.core.call import NO_CAPABILITIES, Call
from actors.core.identity import GATEWAY_INFO
from actors.core.jsonrpc import Object
from actors.core.listing import Facts, Listing
from actors.core.outcome import Failure, FailureKind, Outcome, Reply
from actors.core.revisions import LATEST_MODERN, MODERN_REVISIONS, Era
from actors.transports.transport import Transport
from actors.upstream.asking import NO_HEADERS, Asking, UpstreamError
from actors.upstream.call_sink import CallSink
from actors.upstream.lists import read_lists
from actors.upstream.subscription import Subscription, wanted_changes
from actors.upstream.upstream import Listener, Notified

LIST_LIMIT: Final = 15.0
"""Seconds for one page of a list."""

_GATEWAY_INFO: Final = jsonrpc.encode(GATEWAY_INFO)
_HOP_ERRORS: Final = frozenset({jsonrpc.HEADER_MISMATCH, jsonrpc.UNSUPPORTED_REVISION})
"""They describe our hop to the server, and would tell the client a lie about its own."""

log = structlog.get_logger()


class _DiscoverResult(msgspec.Struct, rename="camel"):
    supported_versions: list[str]
    capabilities: dict[str, Any] = {}
    instructions: str | None = None
    meta: Object = msgspec.field(name="_meta", default_factory=dict)


class ModernUpstream:
    """One server that needs no session."""

    def __init__(self, asking: Asking, backend: str, notified: Notified) -> None:
        self._asking = asking
        self._transport: Transport = asking.transport
        self._backend = backend
        self._notified = notified
        self._params_in_headers: dict[str, tuple[headers.ParamHeader, ...]] = {}
        self._relisting: asyncio.Task[Listing] | None = None
        self._subscription: Subscription | None = None
        self.facts = Facts(Era.MODERN, LATEST_MODERN)

    async def discover(self, limit: float) -> None:
        """Ask the server who it is; `limit` in seconds.

        Raises:
            UpstreamError: it is not a modern server that we can speak with, or did not answer.
        """
        answer = await self._ask("server/discover", {}, limit)
        try:
            result = msgspec.json.decode(answer, type=_DiscoverResult)
        except msgspec.DecodeError as error:
            raise UpstreamError("its answer to server/discover is not of that form") from error
        if not set(result.supported_versions) & set(MODERN_REVISIONS):
            raise UpstreamError("it discovers, but speaks no modern revision of ours")
        server_info = bytes(result.meta.get(jsonrpc.SERVER_INFO_KEY, b"{}"))
        self.facts = Facts(Era.MODERN, LATEST_MODERN, server_info, tuple(result.capabilities), result.instructions)
        self._transport.unsolicited = self._notified
        if wanted := wanted_changes(result.capabilities):
            params = jsonrpc.with_member(jsonrpc.encode({"notifications": wanted}), "_meta", _OWN_ENVELOPE)
            self._subscription = Subscription(self._asking, self._backend, params, self._notified)
            self._subscription.open()

    async def list_everything(self) -> Listing:
        """See `Upstream.list_everything`. Tools whose `x-mcp-header` is invalid are left out, as a client must."""

        async def ask(method: str, params: Object) -> bytes:
            return await self._ask(method, params, LIST_LIMIT)

        listing = await read_lists(ask, self.facts, self._backend)
        in_headers: dict[str, tuple[headers.ParamHeader, ...]] = {}
        tools = []
        for tool in listing.tools:
            if headers.ANNOTATION.encode() in tool.body:
                schema = msgspec.json.decode(tool.body).get("inputSchema")
                reason = headers.invalid_annotation(schema)
                if reason is not None:
                    log.warning("tool_left_out", backend=self._backend, tool=tool.identity, reason=reason)
                    continue
                in_headers[tool.identity] = headers.param_headers(schema)
            tools.append(tool)
        self._params_in_headers = in_headers
        return Listing(tuple(tools), listing.resources, listing.templates, listing.prompts)

    def start(self, call: Call, listener: Listener) -> int:
        """See `Upstream.start`."""
        number = self._asking.next_id()

        def finish(outcome: Outcome) -> None:
            code = _error_code(outcome)
            if code == jsonrpc.HEADER_MISMATCH and call.method == "tools/call":
                self._again(call, listener, number)
            else:
                listener.finished(self._for_the_client(outcome, code))

        self._open(
            number,
            call,
            CallSink(call, listener, era=Era.MODERN, backend=self._backend, notified=self._notified, finish=finish),
        )
        return number

    def cancel(self, number: int, reason: str) -> None:
        """See `Upstream.cancel`."""
        self._transport.drop(number)
        if not self._transport.drop_cancels:
            params = jsonrpc.encode({"requestId": number, "reason": reason})
            self._transport.send(jsonrpc.notification("notifications/cancelled", params), NO_HEADERS)

    def stop(self) -> None:
        """See `Upstream.stop`."""
        if self._subscription is not None:
            self._subscription.close()
        if self._relisting is not None:
            self._relisting.cancel()

    def _open(self, number: int, call: Call, sink: CallSink) -> None:
        meta = _envelope(call.meta, call.capabilities, call.client_info or _GATEWAY_INFO)
        if call.wants_progress:
            meta = jsonrpc.with_member(meta, jsonrpc.PROGRESS_KEY, b"%d" % number)
        if call.log_level is not None:
            meta = jsonrpc.with_member(meta, jsonrpc.LOG_LEVEL_KEY, jsonrpc.encode(call.log_level))
        params = jsonrpc.with_member(call.params, "_meta", meta)
        body = jsonrpc.request(number, call.method, params)
        self._transport.open(number, body, self._headers(call), sink)

    def _headers(self, call: Call) -> Mapping[str, str]:
        marks = headers.routing_headers(call.method, call.name, LATEST_MODERN)
        annotated = self._params_in_headers.get(call.name or "")
        if annotated and call.method == "tools/call":
            arguments = msgspec.json.decode(call.params).get("arguments") or {}
            marks.update(headers.headers_for(annotated, arguments))
        return marks

    async def _ask(self, method: str, params: Object, limit: float) -> bytes:
        body = jsonrpc.with_member(jsonrpc.encode(params), "_meta", _OWN_ENVELOPE)
        marks = headers.routing_headers(method, None, LATEST_MODERN)
        return await self._asking.ask(method, body, limit=limit, headers=marks)

    def _again(self, call: Call, listener: Listener, number: int) -> None:
        """The headers did not fit the schema, so the call has not run: read the schemas again, then try once more."""
        if self._relisting is None or self._relisting.done():
            self._relisting = asyncio.get_running_loop().create_task(self.list_everything())

        def finish(outcome: Outcome) -> None:
            listener.finished(self._for_the_client(outcome, _error_code(outcome)))

        def relisted(task: asyncio.Task[Listing]) -> None:
            if task.cancelled() or task.exception() is not None:
                detail = "its headers are not what its schema says"
                listener.finished(Failure(FailureKind.PROTOCOL, self._backend, detail))
                return
            self._open(
                number,
                call,
                CallSink(call, listener, era=Era.MODERN, backend=self._backend, notified=self._notified, finish=finish),
            )

        self._relisting.add_done_callback(relisted)

    def _for_the_client(self, outcome: Outcome, code: int | None) -> Outcome:
        if code in _HOP_ERRORS:
            return Failure(FailureKind.PROTOCOL, self._backend, f"it refused the request of the gateway ({code})")
        return outcome


def _envelope(meta: bytes, capabilities: bytes, client_info: bytes) -> bytes:
    """The per-request fields in front of the caller's own `_meta` (2026-07-28, basic, Per-request protocol fields)."""
    meta = jsonrpc.with_member(meta, jsonrpc.CLIENT_INFO_KEY, client_info)
    meta = jsonrpc.with_member(meta, jsonrpc.CLIENT_CAPABILITIES_KEY, capabilities)
    return jsonrpc.with_member(meta, jsonrpc.PROTOCOL_VERSION_KEY, b'"%b"' % LATEST_MODERN.encode())


_OWN_ENVELOPE: Final = _envelope(b"{}", NO_CAPABILITIES, _GATEWAY_INFO)


def _error_code(outcome: Outcome) -> int | None:
    if not isinstance(outcome, Reply) or not outcome.is_error:
        return None
    try:
        return jsonrpc.decode_error(outcome.body).code
    except msgspec.DecodeError:
        return None
