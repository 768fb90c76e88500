"""The part of the admin API about users' consents at servers: each one's own, and that of the operator for lists."""

from functools import partial
from typing import Final
from urllib.parse import urlsplit

import msgspec

from actors.core.caller import Caller
from actors.core.consent import FOR_LISTS
from actors.core.principal import ANONYMOUS
from actors.core.tokens.issued import Declined, No
from actors.core.url_guard import is_loopback
from serve_app.admin.access import OWNER
from serve_app.admin.answer import Answer, error
from serve_app.admin.routes import Asked, Route
from serve_app.connect.connections import Connections
from serve_app.reception import Reception

WRITE: Final = "servers:write"

NOBODY: Final = (
    "the one who started the gateway calls no server: connect as yourself, with a token or after only1mcp login"
)
ELSEWHERE: Final = (
    "redirect_uri must be http://127.0.0.1:PORT/PATH: only so it is sure that the browser is on your own machine"
)


class ConnectionPage(msgspec.Struct, frozen=True):
    """One server, and whether the caller lets the gateway act for them there."""

    server: str
    connected: bool


class ConnectionsPage(msgspec.Struct, frozen=True):
    """The servers where each user has credentials of their own."""

    connections: tuple[ConnectionPage, ...]


class ConnectOrder(msgspec.Struct, frozen=True):
    """Where the browser of the user comes back to."""

    redirect_uri: str


class BegunPage(msgspec.Struct, frozen=True):
    """What the browser of the user opens."""

    url: str
    state: str
    issuer: str
    """The authorization server."""


class FinishOrder(msgspec.Struct, frozen=True):
    """What the browser brought back."""

    state: str
    code: str
    iss: str = ""


class ConnectionRoutes:
    """Serves it."""

    def __init__(self, connections: Connections, reception: Reception, *, guarded: bool) -> None:
        """`guarded` says that callers are told apart."""
        self._connections = connections
        self._reception = reception
        self._guarded = guarded

    def routes(self) -> tuple[Route, ...]:
        """What can be done."""
        return (
            Route("GET", "/connections", "", "Where you are connected", self._list, gives=ConnectionsPage),
            *self._routes_to("/connections/{name}", "", "yourself", lists=False),
            *self._routes_to(
                "/connections/{name}/lists", WRITE, "the gateway, for the lists of the server", lists=True
            ),
        )

    def _routes_to(self, path: str, action: str, whom: str, *, lists: bool) -> tuple[Route, ...]:
        begin, finish, drop = (partial(each, lists=lists) for each in (self._begin, self._finish, self._drop))
        refuses = (404, 409, 502)
        return (
            Route("POST", path, action, f"Begin to connect {whom}", begin, 201, BegunPage, ConnectOrder, refuses),
            Route("PUT", path, action, f"Connect {whom}", finish, 204, None, FinishOrder, refuses),
            Route("DELETE", path, action, f"Disconnect {whom}", drop, 204, refuses=refuses),
        )

    async def _list(self, asked: Asked) -> Answer:
        key = self._key(asked.caller)
        pages = [
            ConnectionPage(name, key is not None and await self._connections.has(key, name))
            for name in self._connections.servers
        ]
        shown = (page for page in pages if page.connected or self._sees(asked.caller, page.server))
        return Answer(200, ConnectionsPage(tuple(shown)))

    async def _begin(self, asked: Asked, *, lists: bool) -> Answer:
        principal = self._principal(asked, lists=lists)
        order = await asked.order(ConnectOrder)
        if isinstance(principal, Answer):
            return principal
        if isinstance(order, Answer):
            return order
        if not _is_own_machine(order.redirect_uri):
            return error(422, ELSEWHERE)
        begun = await self._connections.begin(asked.caller, principal, asked.names["name"], order.redirect_uri)
        if isinstance(begun, Declined):
            return error(422 if begun.no is No.WRONG else 502, begun.reason)
        return Answer(201, BegunPage(begun.url, begun.state, begun.issuer))

    async def _finish(self, asked: Asked, *, lists: bool) -> Answer:
        principal = self._principal(asked, lists=lists)
        order = await asked.order(FinishOrder)
        if isinstance(principal, Answer):
            return principal
        if isinstance(order, Answer):
            return order
        name = asked.names["name"]
        reason = await self._connections.finish(asked.caller, principal, name, order.state, order.code, order.iss)
        return error(409, reason) if reason else Answer(204)

    async def _drop(self, asked: Asked, *, lists: bool) -> Answer:
        principal = self._principal(asked, lists=lists)
        if isinstance(principal, Answer):
            kept = None if lists else await self._kept(asked)
            if kept is None:
                return principal
            principal = kept
        reason = await self._connections.drop(asked.caller, principal, asked.names["name"])
        return error(502, reason) if reason else Answer(204)

    def _principal(self, asked: Asked, *, lists: bool) -> str | Answer:
        """Whom a request is about, by their key; what is forbidden looks like what is not there."""
        name = asked.names["name"]
        if name not in self._connections.servers or not (lists or self._sees(asked.caller, name)):
            return error(404, f"there is no server {name!r} to which users are connected")
        key = FOR_LISTS if lists else self._key(asked.caller)
        return error(409, NOBODY) if key is None else key

    async def _kept(self, asked: Asked) -> str | None:
        """Who it is about, if they have given something: that they may take back, whatever the policy says by now."""
        key, name = self._key(asked.caller), asked.names["name"]
        if key is None or name not in self._connections.servers:
            return None
        return key if await self._connections.has(key, name) else None

    def _sees(self, caller: Caller, server: str) -> bool:
        return caller.principal is OWNER or self._reception.offer(caller, server) is not None

    def _key(self, caller: Caller) -> str | None:
        """As whom a caller is connected; who started the gateway is nobody among principals that are told apart."""
        if caller.principal is OWNER:
            return None if self._guarded else ANONYMOUS.key
        return caller.principal.key


def _is_own_machine(url: str) -> bool:
    """Whether nobody else's machine gets what comes back: a link to begin with could be sent to another user."""
    return url.startswith("http://") and is_loopback(url) and not urlsplit(url).fragment
