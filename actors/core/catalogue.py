"""Tools, resources and prompts of all backends as one list, and who owns each.

Built by the Router from what the backends listed; deterministic: sorted by backend, then in each server's own order.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

import msgspec

from actors.core import jsonrpc
from actors.core.listing import IDENTITY, Kind, Listing
from actors.core.naming import Owned, assign
from actors.core.settings import Naming
from actors.core.templates import Template

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
        """Who has the resource `uri`: listed, or marked as a backend's own, or matched by templates of one backend.

        A URI that several backends have templates for is nobody's: which of them is meant cannot be known.
        """
        if entry := self.resources.get(uri):
            return Owned(entry.backend, entry.upstream)
        if uri.startswith(OWN_SCHEME):
            backend, _, upstream = uri.removeprefix(OWN_SCHEME).partition("/")
            return Owned(backend, upstream) if backend in self._holders else None
        owners = {backend for backend, template in self._matchers if template.matches(uri)}
        return Owned(owners.pop(), uri) if len(owners) == 1 else None

    def template(self, identity: str) -> Owned | None:
        """Who has a template, by the text clients see."""
        entry = self.templates.get(identity)
        return Owned(entry.backend, entry.upstream) if entry else None

    @cached_property
    def _holders(self) -> frozenset[str]:
        return frozenset(entry.backend for entries in (self.resources, self.templates) for entry in entries.values())

    @cached_property
    def _matchers(self) -> list[tuple[str, Template]]:
        return [(entry.backend, Template(entry.upstream)) for entry in self.templates.values()]

    def __getstate__(self) -> dict[str, object]:
        return {kind: self.__dict__[kind] for kind in ("tools", "resources", "templates", "prompts")}


def aggregate(listings: Mapping[str, Listing], naming: Naming) -> Catalogue:
    """One catalogue of all backends, by backend name. An entry that is no JSON object with a name is left out."""

    def named(kind: Kind) -> dict[str, Entry]:
        found = _found(listings, kind)
        return _entries(kind, assign(found, naming), found)

    def located(kind: Kind) -> dict[str, Entry]:
        found = _found(listings, kind)
        return _entries(kind, _locate(found), found)

    return Catalogue(named(Kind.TOOLS), located(Kind.RESOURCES), located(Kind.TEMPLATES), named(Kind.PROMPTS))


def transparent(backend: str, listing: Listing) -> Catalogue:
    """The catalogue of one backend alone: nothing renamed, nothing rewritten."""

    def own(kind: Kind) -> dict[str, Entry]:
        found = _found({backend: listing}, kind)
        return _entries(kind, {owned.name: owned for owned in found}, found)

    return Catalogue(own(Kind.TOOLS), own(Kind.RESOURCES), own(Kind.TEMPLATES), own(Kind.PROMPTS))


class _Found(NamedTuple):
    body: bytes
    members: jsonrpc.Object


def _found(listings: Mapping[str, Listing], kind: Kind) -> dict[Owned, _Found]:
    """What can be listed, in the order clients see; the first of two entries with one name counts."""
    found: dict[Owned, _Found] = {}
    for backend, listing in sorted(listings.items()):
        for item in listing.of(kind):
            with suppress(msgspec.DecodeError):
                members = jsonrpc.decode_object(item.body)
                if IDENTITY[kind] in members:
                    found.setdefault(Owned(backend, item.identity), _Found(item.body, members))
    return found


def _locate(owned: Collection[Owned]) -> dict[str, Owned]:
    """Keep the URIs that one backend only has; qualify the others, and those that look qualified."""
    holders = Counter(each.name for each in owned)
    return {
        each.name
        if holders[each.name] == 1 and not each.name.startswith(OWN_SCHEME)
        else f"{OWN_SCHEME}{each.backend}/{each.name}": each
        for each in owned
    }


def _entries(kind: Kind, names: Mapping[str, Owned], found: Mapping[Owned, _Found]) -> dict[str, Entry]:
    return {
        name: Entry(name, owned.backend, owned.name, _under(name, kind, owned, found[owned]))
        for name, owned in names.items()
    }


def _under(name: str, kind: Kind, owned: Owned, found: _Found) -> bytes:
    if name == owned.name:
        return found.body
    return jsonrpc.encode({**found.members, IDENTITY[kind]: jsonrpc.raw(name)})
