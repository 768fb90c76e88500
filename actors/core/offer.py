"""What one endpoint offers to its clients: its lists, capabilities and name, rendered once for each View."""

from functools import cached_property
from typing import Any, Final

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
            known = complete(members) if era is Era.MODERN else jsonrpc.encode(members)
            self._lists[kind, era] = known
        return known

    def initialize_result(self, revision: str) -> bytes:
        """The answer to `initialize`."""
        return jsonrpc.encode({"protocolVersion": jsonrpc.raw(revision), **self._introduction})

    @cached_property
    def discover_result(self) -> bytes:
        """The answer to `server/discover`."""
        members = dict(self._introduction)
        server_info = members.pop("serverInfo")
        versions = [*MODERN_REVISIONS, *reversed(HANDSHAKE_REVISIONS)]
        result = jsonrpc.decode_object(complete({"supportedVersions": jsonrpc.raw(versions), **members}))
        result["_meta"] = jsonrpc.raw({jsonrpc.SERVER_INFO_KEY: server_info})
        return jsonrpc.encode(result)

    def annotated_params(self, tool: str) -> tuple[headers.ParamHeader, ...]:
        """The arguments of a tool that a modern client repeats in headers; most tools have none."""
        known = self._annotated.get(tool)
        if known is None:
            entry = self.catalogue.tools.get(tool)
            if entry is None:
                return ()
            known = ()
            if headers.ANNOTATION.encode() in entry.body:
                known = headers.param_headers(msgspec.json.decode(entry.body).get("inputSchema"))
            self._annotated[tool] = known
        return known

    @cached_property
    def _introduction(self) -> dict[str, msgspec.Raw]:
        facts = self.facts
        if facts is None:
            capabilities: dict[str, Any] = {name: {} for name in CARRIED}
            server_info, instructions = jsonrpc.raw(GATEWAY_INFO), self._instructions()
        else:
            capabilities = {name: {} for name in CARRIED if name in facts.capabilities}
            server_info, instructions = msgspec.Raw(facts.server_info), facts.instructions
        members = {"capabilities": jsonrpc.raw(capabilities), "serverInfo": server_info}
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
