"""Users' consents at a server that does what a test says: the pages of the ingress, browsers with cookies, the API."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from actors.core.caller import Caller
from actors.core.consent import ConsentBegun
from actors.core.listing import Item, Listing
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.policy_settings import PolicySettings
from actors.core.principal import ANONYMOUS, Kind, Principal
from actors.core.tokens.issued import Declined
from actors.core.view import BackendView, View
from actors.refs.gone import ActorGone
from serve_app.admin.connections import ConnectionRoutes
from serve_app.authentication import Authentication, Verify
from serve_app.connect.browser_login import BrowserLogins
from serve_app.connect.connections import Connections
from serve_app.connect.cookies import Cookies
from serve_app.connect.door import ConnectDoor
from serve_app.connect.ticket import Asked, Tickets
from serve_app.http import HttpRequest, Receive, Scope, Send, header_map
from serve_app.outlook import Outlook
from serve_app.own_url import OwnUrl
from serve_app.peer import peer_of
from serve_app.reception import Reception
from serve_app.recording import Recorder
from tests.support.asgi import Conversation, ask
from tests.support.hand_clock import HandClock
from tests.support.login_provider import NOW, LoginProvider

SECRET = b"g" * 32
OWN = "https://gateway.example"
"""The issuer of the gateway's own tokens, and its public URL."""
AS = "https://as.example"

ADA = Principal("corp:ada", OWN, Kind.TOKEN)
BOB = Principal("corp:bob", OWN, Kind.TOKEN)
KEY = Principal("nightly", "", Kind.KEY)

FORM = ("content-type", "application/x-www-form-urlencoded")


class ScriptedServer:
    """One replica of a server, and all that it was asked."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str, str]] = []
        """The principal, the redirect URI and the URL of the document, of each beginning."""
        self.given: dict[str, tuple[str, str, str]] = {}
        """State, code and issuer, by principal."""
        self.dropped: list[str] = []
        self.heeded: list[str] = []
        self.reason = ""
        """Why it finishes and drops nothing."""
        self.declines: Declined | None = None
        self.page = f"{AS}/authorize"
        self.breaks = False
        """Whether it dies before it has answered."""

    async def begin_consent(self, principal: str, redirect_uri: str, document_url: str = "") -> ConsentBegun | Declined:
        if self.declines is not None:
            return self.declines
        self.begun.append((principal, redirect_uri, document_url))
        state = f"state-{len(self.begun)}"
        query = urlencode({"state": state, "redirect_uri": redirect_uri})
        return ConsentBegun(f"{self.page}?{query}", state, AS)

    async def finish_consent(self, principal: str, state: str, code: str, issuer: str) -> str:
        if self.breaks:
            raise ActorGone("Backend")
        if not self.reason:
            self.given[principal] = state, code, issuer
        return self.reason

    async def heed_consent(self, principal: str) -> None:
        self.heeded.append(principal)

    async def drop_consent(self, principal: str) -> str:
        self.dropped.append(principal)
        self.given.pop(principal, None)
        return self.reason

    async def has_consent(self, principal: str) -> bool:
        return principal in self.given


def personal_view(*names: str, replicas: int = 1) -> View:
    """Servers with these names where each user has credentials of their own, and one, `open`, where nobody has."""
    return View(
        "g",
        1,
        {
            name: BackendView(
                name,
                30.0,
                personal=name != "open",
                listing=Listing(tools=(Item("whoami", b'{"name":"whoami"}'),)),
                replicas=tuple(_status(ReplicaKey(name, index)) for index in range(replicas)),
            )
            for name in (*names, "open")
        },
    )


def _status(key: ReplicaKey) -> Status:
    return Status(key, "e1", 1, "here", "unix:/s", None, ReplicaState.DOWN, "wants consent")


class RecordedSteps(Recorder):
    """Keeps what it is told of consents."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[str, str, str, bool]] = []
        """The subject, the step, the server, and whether it went well."""
        self.stuck = False

    @property
    def refusing(self) -> bool:
        return self.stuck

    def connected(self, caller: Caller, step: str, server: str, detail: str, *, success: bool) -> None:
        self.steps.append((caller.principal.subject, step, server, success))


class ConnectOffice:
    """An ASGI application of the pages alone, for a server `git`; and what stands around it."""

    def __init__(
        self, *, guarded: bool = True, logins: bool = True, public_url: str | None = OWN, replicas: int = 1
    ) -> None:
        self.clock = HandClock(NOW)
        self.server = ScriptedServer()
        self.view = personal_view("git", replicas=replicas)
        self.away = False
        self.lost: set[int] = set()
        """Replicas that are not to be found."""
        self.woken: list[str] = []
        self.recorder = RecordedSteps()
        self.completed: list[tuple[bytes, str, str]] = []
        """The session, its owner and the elicitation, of those who were done."""
        self.policy: PolicySettings | None = None
        """What callers may do now."""
        self.provider = LoginProvider()
        self.tickets = Tickets(SECRET, self.clock)
        self.connections = Connections(lambda: self.view, self._find, lambda: self, self.recorder)
        verifier = self.provider.verifier()
        known = [self.provider.settings()]
        self.door = ConnectDoor(
            SECRET,
            self.tickets,
            Cookies(SECRET, self.clock),
            OwnUrl(public_url),
            self.connections,
            HandClock(0.0),
            admits=self._admits,
            complete=self._complete,
            guarded=guarded,
            logins=BrowserLogins(known, OWN, verifier) if logins else None,
        )

    def wake(self, backend: str) -> None:
        self.woken.append(backend)

    def link(self, principal: Principal = ANONYMOUS, backend: str = "git", asked: Asked | None = None) -> str:
        """Where a principal is asked to go, without the origin."""
        return f"/connect/{backend}?ticket={self.tickets.issue(principal, backend, asked)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        headers, query = scope["headers"], scope["query_string"]
        found = header_map(headers)
        request = HttpRequest(scope["method"], scope["path"], query, headers, found, receive, send, 65_536, 5.0)
        assert self.door.knows(scope["path"])
        await self.door.serve(request)

    def _admits(self, caller: Caller, backend: str) -> bool:
        return reception_of(self, None, self.policy).admits(caller, backend)

    async def _complete(self, session: bytes, owner: str, elicitation: str) -> None:
        self.completed.append((session, owner, elicitation))

    async def _find(self, key: ReplicaKey) -> ScriptedServer:
        if self.away or key.index in self.lost:
            raise ActorGone(str(key))
        return self.server


class Browser:
    """One person's, with cookies. It does not follow redirects by itself."""

    def __init__(self, office: ConnectOffice) -> None:
        self._office = office
        self.cookies: dict[str, str] = {}
        self.attributes: list[str] = []
        """Of every cookie that was ever set."""

    async def get(self, url: str) -> Conversation:
        parts = urlsplit(url)
        return await self._ask("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, b"")

    async def post(self, path: str, form: Mapping[str, str]) -> Conversation:
        return await self._ask("POST", path, urlencode(form).encode(), FORM)

    async def press(self, page: Conversation) -> Conversation:
        """Press the button of a page."""
        return await self.post(action_of(page), fields_of(page))

    async def log_in(self, answered: Conversation, subject: str, **more: str) -> Conversation:
        """Log in at the provider that the answer leads to, and come back."""
        asked = queried(answered.header("location") or "")
        self._office.provider.claims = {"sub": subject, "nonce": asked["nonce"]}
        return await self.get(f"{asked['redirect_uri']}?{urlencode({'code': 'c', 'state': asked['state'], **more})}")

    async def _ask(self, verb: str, path: str, body: bytes, *headers: tuple[str, str]) -> Conversation:
        sent = [*headers]
        if self.cookies:
            sent.append(("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        answered = await ask(self._office, verb, path, sent, [body])
        for name, value in answered.headers:
            if name == "set-cookie":
                pair, _, attributes = value.partition(";")
                key, _, text = pair.partition("=")
                self.attributes.append(attributes)
                self.cookies.pop(key, None)
                if text:
                    self.cookies[key] = text
        return answered


def queried(url: str) -> dict[str, str]:
    """The parameters of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def action_of(page: Conversation) -> str:
    """Where the form of a page goes."""
    found = re.search(r'action="([^"]+)"', page.body.decode())
    assert found is not None, page.body
    return unescape(found[1])


def fields_of(page: Conversation) -> dict[str, str]:
    """The hidden fields of a form."""
    found = re.findall(r'name="([^"]+)" value="([^"]*)"', page.body.decode())
    return {name: unescape(value) for name, value in found}


def connection_routes(
    office: ConnectOffice, verify: Verify | None, policy: PolicySettings | None = None
) -> tuple[Any, ...]:
    """The part of the admin API, for callers whom `verify` knows."""
    reception = reception_of(office, verify, policy)
    return ConnectionRoutes(office.connections, reception, guarded=verify is not None).routes()


def reception_of(office: ConnectOffice, verify: Verify | None, policy: PolicySettings | None) -> Reception:
    """Who says what the policy lets callers do."""
    outlook = Outlook(_no_router, lambda _: None)
    reception = Reception(Authentication(verify), outlook, peer_of, policy, office.clock)
    outlook.adopt(office.view)
    return reception


def _no_router() -> Any:
    raise ActorGone("Router")
