"""`/connect/…`: where a user lets the gateway act for them at a server, with a browser.

Whoever opens the page must be the one who called, else they would give what is theirs to another (2025-11-25,
client/elicitation, Phishing). And each step is for the browser that took the one before.
"""

import math
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import structlog

from actors.core import jsonrpc
from actors.core.caller import Caller
from actors.core.client import Client
from actors.core.oauth.registration import client_document
from actors.core.principal import ANONYMOUS
from actors.core.seal import NONCE_BYTES, Seal
from actors.core.tokens.issued import Declined
from actors.refs.gone import ActorGone
from serve_app.connect.browser_login import BrowserLogins
from serve_app.connect.connections import Connections
from serve_app.connect.cookies import Cookies, LoginBegun, PageShown, SentAway
from serve_app.connect.invitation import PREFIX
from serve_app.connect.notices import (
    ANOTHER,
    DONE,
    LATER,
    NO_SERVER,
    SOON,
    STALE,
    WRONG_VERB,
    explained,
    trouble,
)
from serve_app.connect.pages import Page, notice, question, sent, with_headers
from serve_app.connect.ticket import Ticket, Tickets
from serve_app.http import JSON, BodyTooLarge, HttpRequest, respond
from serve_app.oauth.address_limiter import AddressLimiter
from serve_app.oauth.form import OAuthError, read_form
from serve_app.own_url import OwnUrl

PATH: Final = re.compile(rf"{PREFIX}([A-Za-z0-9_-]{{1,32}})")

LOGIN: Final = f"{PREFIX}login"
"""Where a login provider sends the browser back to. A server may have this name: its page comes with a ticket."""
CALLBACK: Final = f"{PREFIX}callback"
"""Where the authorization server of a server does."""
CLIENT: Final = f"{PREFIX}client"
"""What the gateway says of itself as a client of authorization servers, where it has a public URL with TLS."""

MAX_PARAMETERS: Final = 20

KEY_BYTES: Final = 32

log = structlog.get_logger()


class ConnectDoor:
    """Serves them. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        secret: bytes,
        tickets: Tickets,
        cookies: Cookies,
        own_url: OwnUrl,
        connections: Connections,
        clock: Callable[[], float],
        *,
        admits: Callable[[Caller, str], bool],
        complete: Callable[[bytes, str, str], Awaitable[None]],
        guarded: bool,
        logins: BrowserLogins | None = None,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`admits` says whether the policy lets a caller use anything of a server now; `complete` is as in `Sessions`.

        `guarded` says that callers are told apart; if not, whoever comes is the one principal that there is.
        Without `logins` nobody can show in a browser who they are.
        """
        self._tickets = tickets
        self._cookies = cookies
        self._own_url = own_url
        self._connections = connections
        self._admits = admits
        self._complete = complete
        self._guarded = guarded
        self._logins = logins
        self._seal = Seal(secret, "connect form")
        self._token_bytes = token_bytes
        self._limiter = AddressLimiter(clock)

    def knows(self, path: str) -> bool:
        """Whether a request to this path is for here."""
        return PATH.fullmatch(path) is not None

    async def serve(self, request: HttpRequest) -> None:
        """Answer one request. That its body does not come is the caller's concern."""
        wait = self._limiter.take(request.ip)
        origin = self._own_url.origin(request.scope)
        if wait:
            page = notice(429, "Not so fast", f"Come again in {math.ceil(wait)} s.")
        elif self._connections.refusing:
            page = LATER
        elif origin is None:
            page = STALE
        elif (request.method, request.path, request.query) == ("GET", CLIENT, b"") and _encrypted(origin):
            await self._describe(request, origin)
            return
        else:
            try:
                page = await self._page(request, origin)
            except ActorGone:
                page = SOON
            except BodyTooLarge:
                page = STALE
        body = b"" if request.method == "HEAD" else page.body
        await respond(request.send, page.status, body, page.headers)

    async def _page(self, request: HttpRequest, origin: str) -> Page:
        said = _parameters(request.query)
        match = PATH.fullmatch(request.path)
        assert match is not None, "it was asked whether this is known"  # noqa: S101
        if request.method == "POST":
            return await self._go(request, match[1], origin)
        if request.method != "GET":  # links are looked at in advance with HEAD: that begins nothing
            return WRONG_VERB
        if "ticket" in said:
            return await self._enter(request, match[1], said["ticket"], origin)
        if request.path == LOGIN:
            return await self._logged_in(request, said, origin)
        if request.path == CALLBACK:
            return await self._came_back(request, said, origin)
        return STALE

    async def _enter(self, request: HttpRequest, backend: str, text: str, origin: str) -> Page:
        """A user opens the link. Rungs, in order:

        1. The ticket was given out here, for this server, not long ago.
        2. The server is there, and the policy has not come to forbid it, see `_barred`.
        3. Where callers are not told apart, it is their page.
        4. Else they log in; who could not show who they are in a browser is told of the command.
        """
        ticket = self._tickets.read(text, backend)
        if ticket is None or (not self._guarded and ticket.principal != ANONYMOUS.key):
            return STALE
        barred = self._barred(request, ticket)
        if barred is not None:
            return barred
        if not self._guarded:
            return await self._ask(request, ticket, origin)
        logins = self._logins
        provider = None if logins is None else logins.provider_of(ticket.principal)
        if logins is None or provider is None:
            return explained(backend)
        departure = await logins.begin(provider, origin + LOGIN)
        if isinstance(departure, OAuthError):
            return trouble(departure)
        step = LoginBegun(ticket, provider, departure.nonce, departure.verifier, self._cookies.until)
        return sent(departure.url, self._cookies.leave(departure.state, step, encrypted=_encrypted(origin)))

    async def _logged_in(self, request: HttpRequest, said: Mapping[str, str], origin: str) -> Page:
        """A user comes back from the login provider. Rungs, in order:

        1. This browser was sent there, for this login.
        2. The provider says who it is.
        3. It is the one who called.
        4. They may still use the server.
        """
        key, encrypted = said.get("state", ""), _encrypted(origin)
        step = self._cookies.take(request.raw_headers, key, LoginBegun, encrypted=encrypted)
        if step is None or self._logins is None:
            return STALE
        used = self._cookies.remove(key, encrypted=encrypted)
        found = await self._logins.finish(step.provider, said, step.nonce, step.verifier, origin + LOGIN)
        if isinstance(found, OAuthError):
            return with_headers(trouble(found), used)
        if step.ticket.principal not in found:
            log.warning("connect_by_another", backend=step.ticket.backend)
            self._note_refused(request, step.ticket, "the link was opened by somebody else")
            return with_headers(ANOTHER, used)
        page = self._barred(request, step.ticket) or await self._ask(request, step.ticket, origin)
        return with_headers(page, used)

    async def _ask(self, request: HttpRequest, ticket: Ticket, origin: str) -> Page:
        """Show whom the user would connect to, and have them say so."""
        caller, encrypted = _caller(request, ticket), _encrypted(origin)
        document = origin + CLIENT if encrypted else ""
        begun = await self._connections.begin(caller, ticket.principal, ticket.backend, origin + CALLBACK, document)
        if isinstance(begun, Declined):
            return notice(502, f"{ticket.backend} cannot be connected to", f"The reason: {begun.reason}.")
        key = self._token_bytes(KEY_BYTES).hex()
        go = self._seal.close(jsonrpc.encode([begun.url, begun.state]), key, self._token_bytes(NONCE_BYTES))
        cookie = self._cookies.leave(key, PageShown(ticket, self._cookies.until), encrypted=encrypted)
        return with_headers(question(ticket.backend, begun.url, key, go), cookie)

    async def _go(self, request: HttpRequest, backend: str, origin: str) -> Page:
        """The user says yes: the form is the one that this browser was shown, or nothing happens."""
        form = await read_form(request)
        key = "" if isinstance(form, OAuthError) else form.get("key", "")
        encrypted = _encrypted(origin)
        step = self._cookies.take(request.raw_headers, key, PageShown, encrypted=encrypted)
        opened = None if isinstance(form, OAuthError) else self._seal.open(form.get("go", ""), key)
        if step is None or opened is None or step.ticket.backend != backend:
            return STALE
        url, state = jsonrpc.value(opened[0])
        used = self._cookies.remove(key, encrypted=encrypted)
        left = self._cookies.leave(state, SentAway(step.ticket, self._cookies.until), encrypted=encrypted)
        return sent(url, used, left)

    async def _came_back(self, request: HttpRequest, said: Mapping[str, str], origin: str) -> Page:
        """The authorization server sends the browser back, which must be the one that was sent there."""
        state, encrypted = said.get("state", ""), _encrypted(origin)
        step = self._cookies.take(request.raw_headers, state, SentAway, encrypted=encrypted)
        if step is None:
            return STALE
        ticket, used = step.ticket, self._cookies.remove(state, encrypted=encrypted)
        code = said.get("code", "")
        if not code:
            self._note_refused(request, ticket, "the authorization server has refused it")
            refused = "Its authorization server has not given leave. Nothing has changed."
            return with_headers(notice(403, f"You are not connected to {ticket.backend}", refused), used)
        barred = self._barred(request, ticket)
        if barred is not None:
            return with_headers(barred, used)
        caller = _caller(request, ticket)
        issuer = said.get("iss", "")
        reason = await self._connections.finish(caller, ticket.principal, ticket.backend, state, code, issuer)
        if reason:
            page = notice(502, f"You are not connected to {ticket.backend}", f"The reason: {reason}.")
            return with_headers(page, used)
        if (asked := ticket.asked) is not None:
            await self._complete(asked.session, Client("", ticket.principal, asked.endpoint).account, asked.id)
        return with_headers(DONE, used)

    def _barred(self, request: HttpRequest, ticket: Ticket) -> Page | None:
        """What somebody sees who may not connect to a server now, or nothing: what is forbidden looks as if not there.

        Who is in more groups than a ticket can have, and may be let in by one of them, is told of the command.
        """
        if ticket.backend not in self._connections.servers:
            return NO_SERVER
        if self._admits(_caller(request, ticket), ticket.backend):
            return None
        self._note_refused(request, ticket, "the policy does not allow it")
        return NO_SERVER if ticket.traits.complete else explained(ticket.backend)

    def _note_refused(self, request: HttpRequest, ticket: Ticket, reason: str) -> None:
        self._connections.refused(_caller(request, ticket), ticket.principal, ticket.backend, reason)

    async def _describe(self, request: HttpRequest, origin: str) -> None:
        """The OAuth Client ID Metadata Document of the gateway; its URL is the `client_id`."""
        page = {"client_id": origin + CLIENT, "client_uri": origin, **client_document([origin + CALLBACK])}
        await respond(request.send, 200, jsonrpc.encode(page), [JSON, (b"cache-control", b"public, max-age=300")])


def _parameters(query: bytes) -> Mapping[str, str]:
    """Those of a query; none of one that says something twice, or cannot be read."""
    try:
        pairs = parse_qsl(query.decode("ascii"), errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        return {}
    said = dict(pairs)
    return said if len(said) == len(pairs) else {}


def _caller(request: HttpRequest, ticket: Ticket) -> Caller:
    """The user of a ticket, as far as it says."""
    return Caller(ticket.holder, request.ip)


def _encrypted(origin: str) -> bool:
    return origin.startswith("https:")
