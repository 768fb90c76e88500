"""A request as a client sent it, in the neutral form between the eras."""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.call import Call
from actors.core.client import Client
from actors.core.jsonrpc import Object
from actors.core.routing import Route
from actors.core.time_limit import Limits, time_limit

HOP_KEYS: Final = (
    jsonrpc.PROTOCOL_VERSION_KEY,
    jsonrpc.CLIENT_INFO_KEY,
    jsonrpc.CLIENT_CAPABILITIES_KEY,
    jsonrpc.LOG_LEVEL_KEY,
    jsonrpc.PROGRESS_KEY,
)
"""Members of `_meta` that belong to one hop; all others travel on."""


_TOKEN_STARTS: Final = frozenset(bytes([each]) for each in b'"-0123456789')


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request of a client."""

    id: bytes
    """Raw JSON, given back exactly as it came."""
    method: str
    params: Object
    """Without `_meta`."""
    meta: Object
    """What `_meta` held, all of it."""
    client: Client
    origin: bytes | None = None
    """See `Call.origin`."""

    @property
    def progress_token(self) -> bytes | None:
        """The client's progress token, raw JSON: a string or a number. Anything else asks for nothing."""
        token = bytes(self.meta.get(jsonrpc.PROGRESS_KEY, b""))
        return token if token[:1] in _TOKEN_STARTS else None

    def time_limit(self, route: Route, limits: Limits) -> float:
        """Seconds this request may take at its backend, whose limits these are."""
        return time_limit(limits, self.method, route.owned.name)

    def call(self, route: Route, time_left: float, ticket: bytes = b"") -> Call:
        """The call that this request needs; `time_left` in seconds, `ticket` as `Call.ticket`."""
        meta, client = self.meta, self.client
        passed_on = {key: value for key, value in meta.items() if key not in HOP_KEYS} if meta else meta
        return Call(
            method=self.method,
            params=jsonrpc.encode(route.params),
            time_left=time_left,
            name=route.owned.name or None,
            meta=jsonrpc.encode(passed_on) if passed_on else b"{}",
            capabilities=client.capabilities,
            client_info=client.info,
            wants_progress=self.progress_token is not None,
            log_level=client.log_level,
            origin=self.origin,
            interactive=client.interactive,
            principal=client.principal,
            session=client.session,
            ticket=ticket,
        )
