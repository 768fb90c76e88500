"""Servers of the modern era, 2026-07-28: an envelope in every request, and no session."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec
import structlog

from actors.core import headers, jsonrpc
from actors.core.call import NO_CAPABILITIES, Call
from actors.core.identity import GATEWAY_INFO
from actors.core.jsonrpc import Message, Object
from actors.core.listing import Facts, Item, Listing
from actors.core.outcome import Failure, FailureKind, Outcome, Reply
from actors.core.revisions import LATEST_MODERN, MODERN_REVISIONS, Era
from actors.transports.transport import Transport
from actors.upstream.asking import NO_HEADERS, Asking, UpstreamError
from actors.upstream.call_sink import CallSink
from actors.upstream.lists import LIST_LIMIT, read_lists
from actors.upstream.open_calls import Finish, OpenCalls, Repair
from actors.upstream.subscription import ACKNOWLEDGED, Subscription, wanted_changes
from actors.upstream.upstream import LISTS_MAY_DIFFER, Listener, Notified

_GATEWAY_INFO: Final = jsonrpc.encode(GATEWAY_INFO)
_HOP_ERRORS: Final = frozenset({jsonrpc.HEADER_MISMATCH, jsonrpc.UNSUPPORTED_REVISION})
"""They describe our hop to the server, and would tell the client a lie about its own."""

log = structlog.get_logger()


class _DiscoverResult(msgspec.Struct, rename="camel"):
    supported_versions: list[str]
    capabilities: dict[str, Any] = {}
    instructions: str | None = None
    meta: dict[str, Any] = msgspec.field(name="_meta", default_factory=dict)


class ModernUpstream:
    """One server that needs no session."""

    def __init__(self, asking: Asking, backend: str, notified: Notified) -> None:
        self._asking = asking
        self._transport: Transport = asking.transport
        self._backend = backend
        self._notified = notified
        self._listing = Listing()
        self._params_in_headers: dict[str, tuple[headers.ParamHeader, ...]] = {}
        self._relisting: Repair | None = None
        self._subscription: Subscription | None = None
        self._calls = OpenCalls(asking, self._open, self._without_hop_errors)
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
        server_info = result.meta.get(jsonrpc.SERVER_INFO_KEY)
        self.facts = Facts(
            Era.MODERN,
            LATEST_MODERN,
            jsonrpc.encode(server_info if isinstance(server_info, dict) else {}),
            tuple(result.capabilities),
            result.instructions,
        )
        self._transport.unsolicited = self._heard
        if wanted := wanted_changes(result.capabilities):
            params = jsonrpc.with_member(jsonrpc.encode({"notifications": wanted}), "_meta", _OWN_ENVELOPE)
            self._subscription = Subscription(self._asking, self._backend, params, self._notified)
            self._subscription.open()

    async def list_everything(self, known: Listing) -> Listing:
        """See `Upstream.list_everything`. Tools whose `x-mcp-header` is invalid are left out, as a client must."""

        async def ask(method: str, params: Object) -> bytes:
            return await self._ask(method, params, LIST_LIMIT)

        listing = await read_lists(ask, self.facts, self._backend, known)
        in_headers: dict[str, tuple[headers.ParamHeader, ...]] = {}
        tools = tuple(tool for tool in listing.tools if self._can_be_called(tool, in_headers))
        self._params_in_headers = in_headers
        self._listing = Listing(tools, listing.resources, listing.templates, listing.prompts)
        return self._listing

    def start(self, call: Call, listener: Listener) -> int:
        """See `Upstream.start`. A tool call whose headers the server refused has not run: it is sent once more."""
        return self._calls.start(call, listener, partial(self._relisting_for, call))

    def cancel(self, number: int, reason: str) -> None:
        """See `Upstream.cancel`."""
        request_id = self._calls.forget(number)
        if request_id is None:
            return
        self._transport.drop(request_id)
        if not self._transport.drop_cancels:
            params = jsonrpc.encode({"requestId": request_id, "reason": reason})
            self._transport.send(jsonrpc.notification("notifications/cancelled", params), NO_HEADERS)

    def stop(self) -> None:
        """See `Upstream.stop`."""
        if self._subscription is not None:
            self._subscription.close()
        if self._relisting is not None:
            self._relisting.cancel()

    def _open(self, request_id: int, call: Call, listener: Listener, finish: Finish) -> None:
        meta = _envelope(call.meta, call.capabilities, call.client_info or _GATEWAY_INFO)
        if call.wants_progress:
            meta = jsonrpc.with_member(meta, jsonrpc.PROGRESS_KEY, b"%d" % request_id)
        if call.log_level is not None:
            meta = jsonrpc.with_member(meta, jsonrpc.LOG_LEVEL_KEY, jsonrpc.encode(call.log_level))
        body = jsonrpc.request(request_id, call.method, jsonrpc.with_member(call.params, "_meta", meta))
        sink = CallSink(call, listener, era=Era.MODERN, backend=self._backend, notified=self._heard, finish=finish)
        self._transport.open(request_id, body, self._headers(call), sink)

    def _headers(self, call: Call) -> Mapping[str, str]:
        marks = headers.routing_headers(call.method, call.name, LATEST_MODERN)
        annotated = self._params_in_headers.get(call.name or "")
        if annotated and call.method == "tools/call":
            try:
                arguments = jsonrpc.value(jsonrpc.decode_object(call.params).get("arguments")) or {}
            except msgspec.DecodeError:
                return marks  # a number beyond all bounds: let the server say what it thinks of it
            marks.update(headers.headers_for(annotated, arguments))
        return marks

    async def _ask(self, method: str, params: Object, limit: float) -> bytes:
        body = jsonrpc.with_member(jsonrpc.encode(params), "_meta", _OWN_ENVELOPE)
        marks = headers.routing_headers(method, None, LATEST_MODERN)
        return await self._asking.ask(method, body, limit=limit, headers=marks)

    def _can_be_called(self, tool: Item, in_headers: dict[str, tuple[headers.ParamHeader, ...]]) -> bool:
        """Whether the headers a tool asks for can be written; those go into `in_headers`."""
        if headers.ANNOTATION.encode() not in tool.body:
            return True
        try:
            schema = jsonrpc.value(jsonrpc.decode_object(tool.body).get("inputSchema"))
            reason = headers.invalid_annotation(schema)
        except msgspec.DecodeError as error:
            reason = str(error)
        if reason is not None:
            log.warning("tool_left_out", backend=self._backend, tool=tool.identity, reason=reason)
            return False
        in_headers[tool.identity] = headers.param_headers(schema)
        return True

    def _heard(self, message: Message) -> None:
        """What arrives on no stream of its own: over stdio that is everything about the subscription, too."""
        if self._subscription is not None and message.method == ACKNOWLEDGED:
            self._subscription.message(message)
        else:
            self._notified(message)

    def _relisting_for(self, call: Call, outcome: Outcome) -> Repair | None:
        """Reads the schemas again when the headers did not fit them."""
        if call.method != "tools/call" or _error_code(outcome) != jsonrpc.HEADER_MISMATCH:
            return None
        if self._relisting is None or self._relisting.done():
            self._relisting = asyncio.get_running_loop().create_task(self._relist())
        return self._relisting

    async def _relist(self) -> bool:
        try:
            await self.list_everything(self._listing)
        except UpstreamError as error:
            log.warning("schemas_not_read", backend=self._backend, reason=str(error))
            return False
        self._notified(LISTS_MAY_DIFFER)
        return True

    def _without_hop_errors(self, outcome: Outcome) -> Outcome:
        code = _error_code(outcome)
        if code in _HOP_ERRORS:
            return Failure(FailureKind.PROTOCOL, self._backend, f"it refused the request of the gateway ({code})")
        return outcome


def _error_code(outcome: Outcome) -> int | None:
    if not isinstance(outcome, Reply) or not outcome.is_error:
        return None
    try:
        return jsonrpc.decode_error(outcome.body).code
    except msgspec.DecodeError:
        return None


def _envelope(meta: bytes, capabilities: bytes, client_info: bytes) -> bytes:
    """The per-request fields in front of the caller's own `_meta` (2026-07-28, basic, Per-request protocol fields)."""
    meta = jsonrpc.with_member(meta, jsonrpc.CLIENT_INFO_KEY, client_info)
    meta = jsonrpc.with_member(meta, jsonrpc.CLIENT_CAPABILITIES_KEY, capabilities)
    return jsonrpc.with_member(meta, jsonrpc.PROTOCOL_VERSION_KEY, b'"%b"' % LATEST_MODERN.encode())


_OWN_ENVELOPE: Final = _envelope(b"{}", NO_CAPABILITIES, _GATEWAY_INFO)
