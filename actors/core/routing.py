"""Which backend a request is for, and what it is called there."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.catalogue import Catalogue, Entry
from actors.core.headers import NAME_KEYS
from actors.core.jsonrpc import Object
from actors.core.naming import Owned
from actors.core.revisions import Era


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """A request that no backend shall see, as a JSON-RPC error."""

    code: int
    message: str
    data: object = None
    rule: str = ""
    """What of the policy denied it; empty if nothing did. It is not for the client."""

    @property
    def error(self) -> bytes:
        """The error object."""
        return jsonrpc.error(self.code, self.message, self.data)


class Route(msgspec.Struct, frozen=True, gc=False):
    """Where a request goes."""

    owned: Owned
    """The backend, and the name or URI its server uses."""
    params: Object
    """The parameters with that name or URI in them."""
    replica: int | None = None
    """The replica that it must go to; nothing if any will do."""
    rule: str = ""
    """What of the policy allowed it; empty where there is none."""


def route(method: str, params: Object, catalogue: Catalogue, era: Era) -> Route | Rejection:
    """Find the backend of a request, and put its own names into the parameters.

    `method` is a key of `ROUTED`. Unknown and forbidden look the same: the entry is not in the catalogue.
    """
    try:
        return ROUTED[method](params, catalogue, era)
    except msgspec.DecodeError:
        return Rejection(jsonrpc.INVALID_PARAMS, f"the parameters of {method} are not of its form")


def route_unchanged(method: str, params: Object, backend: str) -> Route | Rejection:
    """Send a request to the one server of its endpoint, under the name the client used."""
    key = NAME_KEYS.get(method)
    try:
        return Route(Owned(backend, _text(params, key) if key is not None else ""), params)
    except msgspec.DecodeError:
        return Rejection(jsonrpc.INVALID_PARAMS, f"the parameters of {method} are not of its form")


def _text(params: Object, key: str) -> str:
    return jsonrpc.decode_text(params.get(key, b"null"))


def _tool(params: Object, catalogue: Catalogue, _era: Era) -> Route | Rejection:
    return _named(params, catalogue.tools, "tool")


def _prompt(params: Object, catalogue: Catalogue, _era: Era) -> Route | Rejection:
    return _named(params, catalogue.prompts, "prompt")


def _named(params: Object, entries: Mapping[str, Entry], noun: str) -> Route | Rejection:
    name = _text(params, "name")
    entry = entries.get(name)
    if entry is None:
        return Rejection(jsonrpc.INVALID_PARAMS, f"Unknown {noun}: {name[:128]}")
    return _renamed(params, "name", Owned(entry.backend, entry.upstream), name)


def _resource(params: Object, catalogue: Catalogue, era: Era) -> Route | Rejection:
    uri = _text(params, "uri")
    owned = catalogue.owner_of(uri)
    if owned is None:
        code = jsonrpc.INVALID_PARAMS if era is Era.MODERN else jsonrpc.RESOURCE_NOT_FOUND
        return Rejection(code, f"Resource not found: {uri[:512]}", {"uri": uri[:512]})
    return _renamed(params, "uri", owned, uri)


def _completion(params: Object, catalogue: Catalogue, _era: Era) -> Route | Rejection:
    reference = jsonrpc.decode_object(params.get("ref", b""))
    kind = _text(reference, "type")
    key = {"ref/prompt": "name", "ref/resource": "uri"}.get(kind)
    if key is None:
        return Rejection(jsonrpc.INVALID_PARAMS, "completion/complete needs a ref of type ref/prompt or ref/resource")
    identity = _text(reference, key)
    if key == "name":
        entry = catalogue.prompts.get(identity)
        owned = Owned(entry.backend, entry.upstream) if entry else None
    else:
        owned = catalogue.template(identity) or catalogue.owner_of(identity)
    if owned is None:
        return Rejection(jsonrpc.INVALID_PARAMS, f"Unknown {kind}: {identity[:512]}")
    if owned.name == identity:
        return Route(owned, params)
    return Route(owned, {**params, "ref": jsonrpc.raw({**reference, key: owned.name})})


def _renamed(params: Object, key: str, owned: Owned, identity: str) -> Route:
    if owned.name == identity:
        return Route(owned, params)
    return Route(owned, {**params, key: jsonrpc.raw(owned.name)})


ROUTED: Final[dict[str, Callable[[Object, Catalogue, Era], Route | Rejection]]] = {
    "tools/call": _tool,
    "prompts/get": _prompt,
    "resources/read": _resource,
    "completion/complete": _completion,
}
"""The methods which go to a backend; the lists are answered from the catalogue."""
