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
from actors.core.input_required import ASKING_METHODS, INPUT_REQUIRED, RESULT_TYPES, read_required, result_type
from actors.core.jsonrpc import ErrorObject, Message, Object
from actors.core.listing import Facts, Item, Listing, capabilities_of
from actors.core.outcome import Failure, FailureKind, Outcome, Reply
from actors.core.revisions import LATEST_MODERN, MODERN_REVISIONS, Era
from actors.transports.transport import Transport
from actors.upstream.asking import NO_HEADERS, Asking, UpstreamError
from actors.upstream.call_sink import CallSink
from actors.upstream.lists import LIST_LIMIT, read_lists
from actors.upstream.open_calls import OpenCall, OpenCalls, Repair
from actors.upstream.round import Round
from actors.upstream.subscription import Subscription
from actors.upstream.upstream import LISTS_MAY_DIFFER, CallLater, Listener, Notified

_GATEWAY_INFO: Final = jsonrpc.encode(GATEWAY_INFO)
_HOP_ERRORS: Final = frozenset({jsonrpc.HEADER_MISMATCH, jsonrpc.UNSUPPORTED_REVISION})
"""They describe our hop to the server, and would tell the client a lie about its own."""

log = structlog.get_logger()


class _DiscoverResult(msgspec.Struct, rename="camel"):
    supported_versions: list[str]
    capabilities: msgspec.Raw = msgspec.Raw(b"{}")
    instructions: str | None = None
    meta: dict[str, Any] = msgspec.field(name="_meta", default_factory=dict)


_discover_decoder: Final = msgspec.json.Decoder(_DiscoverResult)


class ModernUpstream:
    """One server that needs no session."""

    def __init__(
        self, asking: Asking, backend: str, notified: Notified, *, call_later: CallLater | None = None
    ) -> None:
        """`call_later` is the loop's, if it is not given."""
        self._asking = asking
        self._transport: Transport = asking.transport
        self._backend = backend
        self._notified = notified
        self._listing = Listing()
        self._params_in_headers: dict[str, tuple[headers.ParamHeader, ...]] = {}
        self._relisting: Repair | None = None
        self._call_later = call_later or asyncio.get_running_loop().call_later
        self._subscription: Subscription | None = None
        self._calls = OpenCalls(asking, self._send)
        self.facts = Facts(Era.MODERN, LATEST_MODERN)

    async def discover(self, limit: float) -> None:
        """Ask the server who it is; `limit` in seconds.

        Raises:
            UpstreamError: it is not a modern server that we can speak with, or did not answer.
        """
        answer = await self._discovered(limit)
        try:
            result = jsonrpc.decode(_discover_decoder, answer)
            capabilities = capabilities_of(result.capabilities)
        except msgspec.DecodeError as error:
            raise UpstreamError("its answer to server/discover is not of that form") from error
        if not set(result.supported_versions) & set(MODERN_REVISIONS):
            raise UpstreamError("it discovers, but speaks no modern revision of ours")
        server_info = result.meta.get(jsonrpc.SERVER_INFO_KEY)
        self.facts = Facts(
            Era.MODERN,
            LATEST_MODERN,
            jsonrpc.encode(server_info if isinstance(server_info, dict) else {}),
            capabilities,
            result.instructions,
        )
        self._transport.unsolicited = self._heard
        self._subscription = Subscription(
            self._asking, self._backend, self.facts, self._notified, envelope=_OWN_ENVELOPE, call_later=self._call_later
        )
        self._subscription.begin()

    async def _discovered(self, limit: float) -> bytes:
        """The answer to discovery; a server that refuses, but names a revision of ours, is asked again in that."""
        try:
            return await self._ask("server/discover", {}, limit)
        except UpstreamError as refusal:
            if refusal.error is None or not _names_our_revision(refusal.error):
                raise
        return await self._ask("server/discover", {}, limit)

    @property
    def replies(self) -> int:
        """See `Upstream.replies`."""
        return self._calls.replies

    async def check(self, limit: float) -> None:
        """See `Upstream.check`."""
        await self._ask("server/discover", {}, limit)

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
        """See `Upstream.start`. A tool call whose headers the server refused has not run: it is sent once more.

        What the server wants to know before it goes on, an interactive client is asked; another gets it as the reply.
        """
        opened = self._calls.start(call, listener)
        opened.send(call)
        return opened.number

    def cancel(self, number: int, reason: str) -> None:
        """See `Upstream.cancel`."""
        opened = self._calls.forget(number)
        if opened is None or opened.request_id is None:
            return
        self._transport.drop(opened.request_id)
        if not self._transport.drop_cancels:
            params = jsonrpc.encode({"requestId": opened.request_id, "reason": reason})
            self._transport.send(jsonrpc.notification("notifications/cancelled", params), NO_HEADERS)

    def subscribe(self, uris: frozenset[str]) -> None:
        """See `Upstream.subscribe`."""
        if self._subscription is not None:
            self._subscription.follow(uris)

    def stop(self) -> None:
        """See `Upstream.stop`."""
        if self._subscription is not None:
            self._subscription.close()
        if self._relisting is not None:
            self._relisting.cancel()

    def _send(self, opened: OpenCall, request_id: int) -> None:
        call = opened.call
        meta = _envelope(call.meta, call.capabilities, call.client_info or _GATEWAY_INFO)
        if call.wants_progress:
            meta = jsonrpc.with_member(meta, jsonrpc.PROGRESS_KEY, b"%d" % request_id)
        if call.log_level is not None:
            meta = jsonrpc.with_member(meta, jsonrpc.LOG_LEVEL_KEY, jsonrpc.encode(call.log_level))
        body = jsonrpc.request(request_id, call.method, jsonrpc.with_member(call.params, "_meta", meta))
        sink = CallSink(
            call,
            opened.listener,
            era=Era.MODERN,
            backend=self._backend,
            notified=self._heard,
            requested=self._heard,
            finish=partial(self._ended, opened),
        )
        self._transport.open(request_id, body, self._headers(call), sink)

    def _ended(self, opened: OpenCall, outcome: Outcome) -> None:
        """One request of a call has its outcome. Rungs, in order:

        1. A refusal for its headers is repaired once.
        2. Errors about our own hop are not the client's business.
        3. A result is complete, asks for something, or is not MCP.
        """
        relisting = None if opened.repaired else self._relisting_for(opened.call, outcome)
        if relisting is not None:
            opened.send_after(relisting, self._without_hop_errors(outcome))
        elif isinstance(outcome, Failure) or outcome.is_error:
            opened.finish(self._without_hop_errors(outcome))
        else:
            self._completed(opened, outcome)

    def _completed(self, opened: OpenCall, reply: Reply) -> None:
        call = opened.call
        try:
            kind = result_type(reply.body)
            if kind not in RESULT_TYPES:
                raise msgspec.DecodeError(f"its result is of the unknown type {kind[:64]!r}")
            if kind == INPUT_REQUIRED and call.method not in ASKING_METHODS:
                raise msgspec.DecodeError(f"it may not ask during {call.method}")
            required = read_required(reply.body) if kind == INPUT_REQUIRED and call.interactive else None
        except msgspec.DecodeError as error:
            opened.finish(Failure(FailureKind.PROTOCOL, self._backend, str(error)))
            return
        if required is None:
            opened.finish(reply)
        else:
            Round(opened, required, self._backend, self._call_later).begin()

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
        if message.id:
            log.warning("request_ignored", backend=self._backend, method=(message.method or "")[:64])
        elif message.method == "notifications/message":
            self._calls.log(message)
        elif self._subscription is not None:
            self._subscription.message(message)

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


def _names_our_revision(error: ErrorObject) -> bool:
    """Whether a refusal of our revision says that another of ours would do (2026-07-28, basic/versioning)."""
    try:
        supported = jsonrpc.value(error.data)["supported"] if error.code == jsonrpc.UNSUPPORTED_REVISION else []
        return any(revision in MODERN_REVISIONS for revision in supported)
    except (msgspec.DecodeError, KeyError, TypeError):
        return False


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
