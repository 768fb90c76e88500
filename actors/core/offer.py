"""What one endpoint offers to its clients: its lists, capabilities and name, rendered once for each View."""

from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

import msgspec
import xxhash

from actors.core import headers, jsonrpc
from actors.core.care import READING_METHODS, Care, care_of
from actors.core.catalogue import Catalogue, Entry
from actors.core.clearance import Clearance, visible
from actors.core.cursor import page_of
from actors.core.identity import GATEWAY_INFO
from actors.core.jsonrpc import Object
from actors.core.listing import Facts, Kind
from actors.core.policy.action import ActionKind
from actors.core.policy.stance import Stance
from actors.core.promises import merged, promised
from actors.core.rendering import complete
from actors.core.revisions import HANDSHAKE_REVISIONS, MODERN_REVISIONS, Era, era_of
from actors.core.routing import Rejection, Route, route, route_unchanged
from actors.core.time_limit import TOOLS_CALL
from actors.core.tool_entry import tool_for
from actors.core.view import BackendView, View

PAGE_ENTRIES: Final = 1000
"""Entries of a list on one page: most lists have one, and clients that do not ask for the next miss nothing."""

CHANGES: Final = {
    "tools": (Kind.TOOLS,),
    "resources": (Kind.RESOURCES, Kind.TEMPLATES),
    "prompts": (Kind.PROMPTS,),
}
"""The lists whose change each `notifications/<key>/list_changed` tells."""

STALE_KEY: Final = "only1mcp/stale"
"""In the `_meta` of a list: the backends whose entries are the last ones known, because none of theirs is up."""

NO_META: Final = b"{}"

NO_ENTRIES: Final = Catalogue()

INVALID_CURSOR: Final = Rejection(jsonrpc.INVALID_PARAMS, "Invalid cursor")


class Offer:
    """One endpoint in one View, the aggregate or one backend, for all callers of one stance."""

    def __init__(
        self, view: View, backend: str | None, page_entries: int = PAGE_ENTRIES, *, stance: Stance | None = None
    ) -> None:
        """`stance` is that of the callers whom this is for; without one they may use everything."""
        self.view = view
        self.backend = backend
        self._stance = stance
        self._clearance = None if stance is None else Clearance(stance, view)
        self._page_entries = page_entries
        self._first_pages: dict[tuple[Kind, str], bytes] = {}
        self._annotated: dict[str, tuple[headers.ParamHeader, ...]] = {}
        self._care: dict[str, Care] = {}

    @property
    def facts(self) -> Facts | None:
        """What the one server said of itself; nothing on the aggregate, or while it was never up."""
        return self.view.backends[self.backend].facts if self.backend is not None else None

    @cached_property
    def catalogue(self) -> Catalogue:
        """The entries that its callers may use, under the names of this endpoint."""
        return self._everything if self._stance is None else visible(self._everything, self._stance)

    def route(self, method: str, params: Object, era: Era) -> Route | Rejection:
        """See `routing.route`; the endpoint of one server passes names on as they are.

        What the policy forbids is answered like what does not exist.
        """
        if self.backend is None:
            found = route(method, params, self._everything, era)
        else:
            found = route_unchanged(method, params, self.backend)
        if self._clearance is None or isinstance(found, Rejection):
            return found
        decision = self._clearance.decide(method, found.owned, params)
        if decision.allowed:
            return msgspec.structs.replace(found, rule=decision.rule)
        unknown = route(method, params, NO_ENTRIES, era)
        assert isinstance(unknown, Rejection), "it has nothing that a request could go to"  # noqa: S101
        return msgspec.structs.replace(unknown, rule=decision.rule)

    def list_result(self, kind: Kind, revision: str, cursor: str | None = None) -> bytes | Rejection:
        """The result of a list method for a client of `revision`: the page after `cursor`, or the first."""
        if cursor is not None:
            return self._page(kind, revision, cursor)
        known = self._first_pages.get((kind, revision))
        if known is None:
            page = self._page(kind, revision, None)
            assert isinstance(page, bytes), "there is always a first page"  # noqa: S101
            known = self._first_pages[kind, revision] = page
        return known

    @cached_property
    def is_empty(self) -> bool:
        """Whether there is nothing in it for its callers, though there is something for others.

        Of a server whose resources they may read there may always be some that it does not list.
        """
        if self._stance is not None and self._stance.reaches(ActionKind.RESOURCE, self.backend or ""):
            return False
        return not any(map(self.catalogue.of, Kind)) and any(map(self._everything.of, Kind))

    @cached_property
    def digests(self) -> dict[str, str]:
        """For each of `CHANGES` a text that is another one when its lists are."""
        return {name: self._digest(kinds) for name, kinds in CHANGES.items()}

    def initialize_result(self, revision: str) -> bytes:
        """The answer to `initialize`."""
        members = {"protocolVersion": jsonrpc.raw(revision), "serverInfo": msgspec.Raw(self._server_info)}
        return jsonrpc.encode({**members, **self._introduction(era_of(revision))})

    @cached_property
    def discover_result(self) -> bytes:
        """The answer to `server/discover`."""
        versions = [*MODERN_REVISIONS, *reversed(HANDSHAKE_REVISIONS)]
        return complete(
            {"supportedVersions": jsonrpc.raw(versions), **self._introduction(Era.MODERN)}, self._server_info
        )

    def promises(self, capability: str) -> bool:
        """Whether the endpoint says that it has a capability; one whose server was never up promises nothing."""
        return capability in self._promised

    def annotated_params(self, tool: str) -> tuple[headers.ParamHeader, ...]:
        """The arguments of a tool that a modern client repeats in headers; most tools have none."""
        known = self._annotated.get(tool)
        if known is None:
            entry = self.catalogue.tools.get(tool)
            if entry is None:
                return ()
            known = _annotated_params(entry.body)
            self._annotated[tool] = known
        return known

    def care(self, method: str, name: str) -> Care:
        """How careful to be with a request that may have run; `name` is what the client calls the tool, if it is one.

        What is unknown may do harm.
        """
        if method != TOOLS_CALL:
            return Care.READS if method in READING_METHODS else Care.ONCE
        known = self._care.get(name)
        if known is None:
            entry = self.catalogue.tools.get(name)
            if entry is None:
                return Care.ONCE
            known = self._care[name] = care_of(entry.body)
        return known

    def _page(self, kind: Kind, revision: str, cursor: str | None) -> bytes | Rejection:
        page = page_of(self.catalogue.of(kind), kind, cursor, self._page_entries)
        if page is None:
            return INVALID_CURSOR
        bodies = b",".join(self._body(kind, entry, revision) for entry in page.entries)
        members: Object = {kind.value: msgspec.Raw(b"[" + bodies + b"]")}
        if page.next is not None:
            members["nextCursor"] = jsonrpc.raw(page.next)
        stale = self._stale(page.entries)
        if era_of(revision) is Era.MODERN:
            return complete(members, self._server_info, stale)
        return jsonrpc.encode({**members, "_meta": msgspec.Raw(stale)} if stale != NO_META else members)

    def _stale(self, entries: Iterable[Entry]) -> bytes:
        """The `_meta` that names the backends of entries which none of their replicas confirms at the moment."""
        names = sorted({entry.backend for entry in entries if not self.view.backends[entry.backend].up})
        return jsonrpc.encode({STALE_KEY: names}) if names else NO_META

    def _body(self, kind: Kind, entry: Entry, revision: str) -> bytes:
        facts = self.view.backends[entry.backend].facts
        return tool_for(revision, entry.body, facts.era) if kind is Kind.TOOLS and facts is not None else entry.body

    def _digest(self, kinds: tuple[Kind, ...]) -> str:
        hasher = xxhash.xxh3_64()
        for kind in kinds:
            for entry in self.catalogue.of(kind).values():
                hasher.update(entry.body)
        return hasher.hexdigest()

    @cached_property
    def _everything(self) -> Catalogue:
        return self.view.backends[self.backend].catalogue if self.backend is not None else self.view.catalogue

    @cached_property
    def _backends(self) -> list[BackendView]:
        """Those that the callers see something of."""
        backends = self.view.backends
        if self._stance is None:
            return list(backends.values())
        seen = {entry.backend for kind in Kind for entry in self.catalogue.of(kind).values()}
        return [backend for name, backend in backends.items() if name in seen]

    @cached_property
    def _promised(self) -> frozenset[str]:
        return frozenset(self._capabilities(Era.MODERN))

    @cached_property
    def _server_info(self) -> bytes:
        """The one server's own; ours on the aggregate, and for a server that does not say what clients insist on."""
        if self.facts is not None:
            with suppress(msgspec.DecodeError):
                members = jsonrpc.decode_object(self.facts.server_info)
                if jsonrpc.text(members.get("name")) and jsonrpc.text(members.get("version")):
                    return self.facts.server_info
        return jsonrpc.encode(GATEWAY_INFO)

    def _introduction(self, era: Era) -> Object:
        members = {"capabilities": jsonrpc.raw(self._capabilities(era))}
        instructions = self._instructions() if self.facts is None else self.facts.instructions
        if instructions:
            members["instructions"] = jsonrpc.raw(instructions)
        return members

    def _capabilities(self, era: Era) -> dict[str, Any]:
        if self.backend is not None:
            return {} if self.facts is None else promised(self.facts, era)
        return merged([each.facts for each in self._backends if each.facts is not None], era)

    def _instructions(self) -> str | None:
        """Those of all servers, each under the name of its backend."""
        parts = [
            f"# {backend.name}\n{backend.facts.instructions}"
            for backend in self._backends
            if backend.facts is not None and backend.facts.instructions
        ]
        return "\n\n".join(parts) or None


def _annotated_params(tool: bytes) -> tuple[headers.ParamHeader, ...]:
    if headers.ANNOTATION.encode() not in tool:
        return ()
    try:
        return headers.param_headers(jsonrpc.value(jsonrpc.decode_object(tool).get("inputSchema")))
    except msgspec.DecodeError:  # a schema that is beyond us is beyond clients, and they send no headers for it
        return ()
