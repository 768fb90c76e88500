"""Tools, resources and prompts of all backends as one list, and who owns each.

Built by the Router from what the backends listed; deterministic: sorted by backend, then in each server's own order.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from actors.core import jsonrpc
from actors.core.listing import IDENTITY, Kind, Listing
from actors.core.naming import Owned, assign
from actors.core.settings import Naming
from actors.core.templates import compile_template

OWN_SCHEME: Final = "only1mcp://"
"""Begins the URI of a resource which several backends list: `only1mcp://<backend>/<their URI>`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a list, as clients see it."""

    identity: str
    """The name or URI clients use."""
    backend: str
    upstream: str
    """The name or URI the backend's server uses."""
    body: bytes
    """The JSON object clients get: the server's own but for the identity."""


@dataclass(frozen=True)
class Catalogue:
    """Everything on offer at one endpoint. Maps are in the order clients see."""

    tools: Mapping[str, Entry] = field(default_factory=dict)
    resources: Mapping[str, Entry] = field(default_factory=dict)
    templates: Mapping[str, Entry] = field(default_factory=dict)
    prompts: Mapping[str, Entry] = field(default_factory=dict)

    def of(self, kind: Kind) -> Mapping[str, Entry]:
        """The entries of one kind, by identity."""
        match kind:
            case Kind.TOOLS:
                return self.tools
            case Kind.RESOURCES:
                return self.resources
            case Kind.TEMPLATES:
                return self.templates
            case Kind.PROMPTS:
                return self.prompts

    def owner_of(self, uri: str) -> Owned | None:
        """Who has the resource `uri`: listed, or matched by exactly one template, or marked as a backend's own."""
        if entry := self.resources.get(uri):
            return Owned(entry.backend, entry.upstream)
        if uri.startswith(OWN_SCHEME):
            backend, _, upstream = uri.removeprefix(OWN_SCHEME).partition("/")
            return Owned(backend, upstream)
        for pattern, entry in self._patterns:
            if pattern.fullmatch(uri):
                return Owned(entry.backend, uri)
        return None

    def template(self, identity: str) -> Owned | None:
        """Who has a template, by the text clients see."""
        entry = self.templates.get(identity)
        return Owned(entry.backend, entry.upstream) if entry else None

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], Entry]]:
        return [(compile_template(entry.upstream), entry) for entry in self.templates.values()]

    def __getstate__(self) -> dict[str, object]:
        return {kind: self.__dict__[kind] for kind in ("tools", "resources", "templates", "prompts")}


def aggregate(listings: Mapping[str, Listing], naming: Naming) -> Catalogue:
    """One catalogue of all backends, by backend name."""
    ordered = sorted(listings.items())
    return Catalogue(
        tools=_named(ordered, Kind.TOOLS, naming),
        resources=_located(ordered, Kind.RESOURCES),
        templates=_located(ordered, Kind.TEMPLATES),
        prompts=_named(ordered, Kind.PROMPTS, naming),
    )


def transparent(backend: str, listing: Listing) -> Catalogue:
    """The catalogue of one backend alone: nothing renamed, nothing rewritten."""
    maps = {
        kind: {item.identity: Entry(item.identity, backend, item.identity, item.body) for item in listing.of(kind)}
        for kind in Kind
    }
    return Catalogue(maps[Kind.TOOLS], maps[Kind.RESOURCES], maps[Kind.TEMPLATES], maps[Kind.PROMPTS])


def _named(listings: Iterable[tuple[str, Listing]], kind: Kind, naming: Naming) -> dict[str, Entry]:
    bodies = {Owned(backend, item.identity): item.body for backend, listing in listings for item in listing.of(kind)}
    return {
        name: Entry(name, owned.backend, owned.name, _renamed(bodies[owned], kind, owned.name, name))
        for name, owned in assign(bodies, naming).items()
    }


def _located(listings: Iterable[tuple[str, Listing]], kind: Kind) -> dict[str, Entry]:
    bodies = {Owned(backend, item.identity): item.body for backend, listing in listings for item in listing.of(kind)}
    owners: dict[str, int] = {}
    for owned in bodies:
        owners[owned.name] = owners.get(owned.name, 0) + 1
    entries: dict[str, Entry] = {}
    for owned, body in bodies.items():
        ambiguous = owners[owned.name] > 1 or owned.name.startswith(OWN_SCHEME)
        uri = f"{OWN_SCHEME}{owned.backend}/{owned.name}" if ambiguous else owned.name
        entries[uri] = Entry(uri, owned.backend, owned.name, _renamed(body, kind, owned.name, uri))
    return entries


def _renamed(body: bytes, kind: Kind, old: str, new: str) -> bytes:
    if old == new:
        return body
    members = jsonrpc.decode_object(body)
    members[IDENTITY[kind]] = jsonrpc.raw(new)
    return jsonrpc.encode(members)
