"""What subscribers to resources ask for and hear: URIs out, `notifications/resources/updated` in."""

from collections.abc import Iterator
from typing import Final

import msgspec

from actors.core import jsonrpc

LISTEN: Final = "subscriptions/listen"
"""The method of a call that never ends by itself and hears of updates."""
UPDATED: Final = "notifications/resources/updated"
MAX_URIS: Final = 256
"""Of one subscription."""
MAX_URI_BYTES: Final = 8192
"""Longer ones are no names but data."""
MAX_DEPTH: Final = 64
"""Steps from a sub-resource towards the root that are looked at."""


class UnfitError(ValueError):
    """The parameters name no resources to hear of; the text says why, and repeats nothing of them."""


def read_uris(params: bytes) -> tuple[str, ...]:
    """The URIs in `{"resourceSubscriptions": [...]}`, each once and in order.

    Raises:
        UnfitError: they are none, too many or too long, or it is of another form.
    """
    try:
        wanted = msgspec.json.decode(jsonrpc.decode_object(params).get("resourceSubscriptions", b"[]"), type=list[str])
    except msgspec.DecodeError:
        raise UnfitError("resourceSubscriptions is not a list of URIs") from None
    uris = tuple(dict.fromkeys(wanted))
    if not uris:
        raise UnfitError("it names no resource to hear of")
    if len(uris) > MAX_URIS:
        raise UnfitError(f"it names {len(uris)} resources, the limit is {MAX_URIS}")
    if any(len(uri.encode(errors="replace")) > MAX_URI_BYTES for uri in uris):
        raise UnfitError(f"a URI has more than {MAX_URI_BYTES} bytes")
    return uris


def read_update(params: bytes) -> tuple[str, bytes] | None:
    """The URI of an update and its parameters without what belongs to the hop it came over; nothing if it has no URI.

    The subscription id is the hop's (2026-07-28, basic/patterns/subscriptions). All else stays as the server wrote it.
    """
    try:
        members = jsonrpc.decode_object(params)
        uri = jsonrpc.text(members.get("uri"))
        if uri is None:
            return None
        meta = jsonrpc.decode_object(members.get("_meta", b""))
    except msgspec.DecodeError:
        return None
    if jsonrpc.SUBSCRIPTION_ID_KEY not in meta:
        return uri, params
    del meta[jsonrpc.SUBSCRIPTION_ID_KEY]
    if meta:
        members["_meta"] = jsonrpc.raw(meta)
    else:
        del members["_meta"]
    return uri, jsonrpc.encode(members)


def update_of(uri: str) -> bytes:
    """The parameters of an update that says no more than that there was one."""
    return jsonrpc.encode({"uri": uri})


def covering(uri: str) -> Iterator[str]:
    """The URIs whose subscribers hear of an update of `uri`: itself, and those it may be a sub-resource of.

    A server may name a sub-resource of what was subscribed to (2025-11-25 and 2026-07-28, schema,
    ResourceUpdatedNotification). What that is, is its own matter: a path that begins with the other's is taken for one.
    """
    yield uri
    begin = uri.find("://") + 3 if "://" in uri else 0
    end = len(uri)
    for _ in range(MAX_DEPTH):
        end = uri.rfind("/", begin, end)
        if end <= begin:
            return
        if end + 1 < len(uri):
            yield uri[: end + 1]
        yield uri[:end]
