"""What calls must have in common to meet in one replica."""

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.client import Client
from actors.core.jsonrpc import Object
from actors.core.settings import Isolation
from actors.core.traffic_settings import Balancing, Stickiness
from actors.core.view import BackendView

STICKY: Final = frozenset({Stickiness.SOFT, Stickiness.HARD})

_encode_sorted: Final = msgspec.json.Encoder(order="deterministic").encode


def affinity_of(
    backend: BackendView, client: Client, name: str | None, params: Object, headers: Mapping[bytes, bytes]
) -> bytes | None:
    """The affinity key of a call; nothing if any replica will do. Rungs, in order:

    1. Where each principal has a conversation of its own: the principal.
    2. Where each session has one, or calls of a session are to stay together: the session, else the principal.
    3. Where the balancer hashes: what it is set to, if the call has that.

    `name` is that of the tool or prompt, or the URI; `headers` have lower-case names.
    """
    if backend.isolation is Isolation.PRINCIPAL:
        return client.principal.encode()
    if backend.isolation is Isolation.SESSION or backend.stickiness in STICKY:
        return client.session or client.principal.encode()
    if backend.balancer.kind is Balancing.HASH:
        return _hashed(backend.balancer.key, client, name, params, headers)
    return None


def _hashed(key: str, client: Client, name: str | None, params: Object, headers: Mapping[bytes, bytes]) -> bytes | None:
    kind, _, which = key.partition(":")
    match kind:
        case "session":
            return client.session or client.principal.encode()
        case "principal":
            return client.principal.encode()
        case "tool":
            return name.encode() if name else None
        case "header":
            return headers.get(which.lower().encode())
        case _:
            return _argument(which, params)


def _argument(name: str, params: Object) -> bytes | None:
    """An argument in one form for all spellings of it; absent and null are nothing."""
    try:
        argument = jsonrpc.decode_object(params.get("arguments", b"")).get(name)
        return None if jsonrpc.is_absent(argument) else _encode_sorted(jsonrpc.value(argument))
    except msgspec.DecodeError:
        return None
