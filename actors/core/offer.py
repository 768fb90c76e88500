"""What one endpoint offers to its clients: its lists, capabilities and name, rendered once for each View."""

from contextlib import suppress
from functools import cached_property
from typing import Final

import msgspec

from actors.core import headers, jsonrpc
from actors.core.catalogue import Catalogue
from actors.core.identity import GATEWAY_INFO
from actors.core.jsonrpc import Object
from actors.core.listing import Facts, Kind
from actors.core.rendering import complete
from actors.core.revisions import HANDSHAKE_REVISIONS, MODERN_REVISIONS, Era
from actors.core.routing import Rejection, Route, route, route_unchanged
from actors.core.view import View

CARRIED: Final = ("tools", "resources", "prompts", "completions")
"""The server capabilities which the gateway carries; others are not promised to clients."""


class Offer:
    """One endpoint in one View: the aggregate, or one backend."""

    def __init__(self, view: View, backend: str | None) -> None:
        self.view = view
        self.backend = backend
        self._lists: dict[tuple[Kind, Era], bytes] = {}
        self._annotated: dict[str, tuple[headers.ParamHeader, ...]] = {}

    @property
    def facts(self) -> Facts | None:
        """What the one server said of itself; nothing on the aggregate, or while it was never up."""
        return self.view.backends[self.backend].facts if self.backend is not None else None

    @cached_property
    def catalogue(self) -> Catalogue:
        """The entries, under the names of this endpoint."""
        return self.view.backends[self.backend].catalogue if self.backend is not None else self.view.catalogue

    def route(self, method: str, params: Object, era: Era) -> Route | Rejection:
        """See `routing.route`; the endpoint of one server passes names on as they are."""
        if self.backend is not None:
            return route_unchanged(method, params, self.backend)
        return route(method, params, self.catalogue, era)

    def list_result(self, kind: Kind, era: Era) -> bytes:
        """The result of a list method: everything, on one page."""
        known = self._lists.get((kind, era))
        if known is None:
            entries = msgspec.Raw(b"[" + b",".join(entry.body for entry in self.catalogue.of(kind).values()) + b"]")
            members: Object = {kind.value: entries}
            known = complete(members, self._server_info) if era is Era.MODERN else jsonrpc.encode(members)
            self._lists[kind, era] = known
        return known

    def initialize_result(self, revision: str) -> bytes:
        """The answer to `initialize`."""
        members = {"protocolVersion": jsonrpc.raw(revision), "serverInfo": msgspec.Raw(self._server_info)}
        return jsonrpc.encode({**members, **self._introduction})

    @cached_property
    def discover_result(self) -> bytes:
        """The answer to `server/discover`."""
        versions = [*MODERN_REVISIONS, *reversed(HANDSHAKE_REVISIONS)]
        return complete({"supportedVersions": jsonrpc.raw(versions), **self._introduction}, self._server_info)

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

    @cached_property
    def _server_info(self) -> bytes:
        """The one server's own; ours on the aggregate, and for a server that does not say what clients insist on."""
        if self.facts is not None:
            with suppress(msgspec.DecodeError):
                members = jsonrpc.decode_object(self.facts.server_info)
                if jsonrpc.text(members.get("name")) and jsonrpc.text(members.get("version")):
                    return self.facts.server_info
        return jsonrpc.encode(GATEWAY_INFO)

    @cached_property
    def _introduction(self) -> Object:
        # the aggregate promises all it can carry: a backend may come up later, and handshake clients ask only once
        names = CARRIED if self.facts is None else [name for name in CARRIED if name in self.facts.capabilities]
        instructions = self._instructions() if self.facts is None else self.facts.instructions
        members = {"capabilities": jsonrpc.raw({name: {} for name in names})}
        if instructions:
            members["instructions"] = jsonrpc.raw(instructions)
        return members

    def _instructions(self) -> str | None:
        """Those of all servers, each under the name of its backend."""
        parts = [
            f"# {name}\n{backend.facts.instructions}"
            for name, backend in self.view.backends.items()
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
