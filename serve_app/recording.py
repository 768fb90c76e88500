"""What of a request is remembered by the audit: makes an event of it, and has it written."""

import uuid
from collections.abc import Callable
from typing import Final

import msgspec

from actors.auditing import Auditing, Writer
from actors.core import jsonrpc
from actors.core.audit.digest import arguments_digest, session_digest
from actors.core.audit.event import MAX_TEXT, NOBODY, OPENED, Decision, Event, Kind, Who, who
from actors.core.audit.redaction import Redaction
from actors.core.audit_settings import Arguments, AuditSettings
from actors.core.caller import Caller
from actors.core.headers import NAME_KEYS
from actors.core.listing import LIST_METHODS
from actors.core.principal import ANONYMOUS, Principal
from actors.core.request import Request
from actors.core.routing import ROUTED, Rejection
from actors.core.tally import ERROR, OK, AuditCounts
from actors.core.tasks import TASK_METHODS

CALLS: Final = frozenset({*ROUTED, *TASK_METHODS, "resources/subscribe", "resources/unsubscribe"})
"""The methods that do something at a server; of others only what was refused is remembered."""

MAX_ID: Final = 64
"""Bytes of a request's id."""

TURNED_AWAY: Final = frozenset({400, 401, 403, 429})
"""The statuses of denials; others say that there is nothing, or not yet."""

MAX_KNOWN: Final = 4096
"""Principals, and sessions, whose part of an event is kept ready."""

UNAVAILABLE: Final = Rejection(
    jsonrpc.INTERNAL_ERROR,
    "the audit cannot be written, and without it no request is served",
    {"reason": "audit_unavailable"},
)
"""What a request gets while `Recorder.refusing`."""

_NAMES: Final = {**NAME_KEYS, "resources/subscribe": "uri", "resources/unsubscribe": "uri"}


class Recorder:
    """Where the ingress says what happened. Without an audit nothing comes of it."""

    def __init__(
        self, auditing: Auditing | None = None, settings: AuditSettings | None = None, key: bytes = b""
    ) -> None:
        """`key` is `Keys.arguments` of the log."""
        self._auditing = auditing
        self._settings = settings or AuditSettings()
        self._key = key
        self._redaction = Redaction(self._settings.redact)
        self._known: dict[Principal, Who] = {}
        self._sessions: dict[bytes, str] = {}

    async def run(self) -> None:
        """See `Auditing.run`."""
        if self._auditing is not None:
            await self._auditing.run()

    async def drain(self) -> None:
        """See `Auditing.drain`."""
        if self._auditing is not None:
            await self._auditing.drain()

    @property
    def refusing(self) -> bool:
        """See `Auditing.refusing`."""
        return self._auditing is not None and self._auditing.refusing

    @property
    def counts(self) -> AuditCounts:
        """See `Auditing.counts`."""
        return self._auditing.counts if self._auditing is not None else AuditCounts()

    def request(
        self, caller: Caller, request: Request, server: str, outcome: str, seconds: float | None = None, rule: str = ""
    ) -> None:
        """A request that was let through: what came of it, under a label of the metrics, after so many seconds."""
        kind = self._kind(request.method)
        if self._auditing is not None and kind is not None:
            event = self._event(kind, caller, request, server, Decision.ALLOWED, rule, outcome, seconds, "")
            self._auditing.note(event)

    def rejected(self, caller: Caller, request: Request, rejection: Rejection, outcome: str = ERROR) -> None:
        """A request that no server saw. It was denied if a rule says so, or if the outcome is no plain error."""
        if self._auditing is not None:
            kind = Kind.LIST if request.method in LIST_METHODS else Kind.CALL
            decision = Decision.DENIED if rejection.rule or outcome != ERROR else None
            detail = f"{rejection.code} {self._redaction.text(rejection.message)}"
            event = self._event(kind, caller, request, "", decision, rejection.rule, outcome, None, detail)
            # who is over a limit must not be able to fill the log either
            (self._auditing.note if outcome == ERROR else self._auditing.note_denial)(event)

    def denied(
        self, ip: str, method: str, path: str, status: int, reason: str, principal: Principal = ANONYMOUS
    ) -> None:
        """Somebody was turned away over plain HTTP, perhaps unrecognised; of many at once not all are listed."""
        if self._auditing is not None and status in TURNED_AWAY:
            self._auditing.note_denial(
                Event(
                    time=self._auditing.now(),
                    kind=Kind.DENIAL,
                    ip=ip,
                    method=method[:MAX_TEXT],
                    name=self._redaction.text(path),
                    decision=Decision.DENIED,
                    outcome=str(status),
                    detail=reason,
                    by=NOBODY if principal is ANONYMOUS else self._who(principal),
                )
            )

    def session_opened(self, caller: Caller, nonce: bytes, endpoint: str) -> None:
        """Somebody has a session now, at the endpoint of a backend or, if that is empty, at the aggregate.

        Its end is told by the Router, see `actors.diary`.
        """
        if self._auditing is not None:
            self._auditing.note(
                Event(
                    time=self._auditing.now(),
                    kind=Kind.SESSION,
                    ip=caller.ip,
                    session=self._session(nonce),
                    method="initialize",
                    server=endpoint,
                    decision=Decision.ALLOWED,
                    outcome=OPENED,
                    by=self._who(caller.principal),
                )
            )

    def logged_in(self, caller: Caller, status: int, detail: str) -> None:
        """Somebody has logged in, or tried to; `detail` is the provider, or what was wrong."""
        if self._auditing is not None:
            event = Event(
                time=self._auditing.now(),
                kind=Kind.LOGIN,
                ip=caller.ip,
                decision=Decision.ALLOWED if status == 200 else Decision.DENIED,
                outcome=str(status),
                detail=detail[:MAX_TEXT],
                by=self._who(caller.principal),
            )
            (self._auditing.note if status == 200 else self._auditing.note_denial)(event)

    def connected(self, caller: Caller, step: str, server: str, detail: str, *, success: bool) -> None:
        """A step on the way to a user's consent at a server, or its end; `detail` is why it failed, or for what it is.

        `caller` is the user as far as they are known: a browser shows no token.
        """
        if self._auditing is not None:
            self._auditing.note(
                Event(
                    time=self._auditing.now(),
                    kind=Kind.CONSENT,
                    ip=caller.ip,
                    method=step,
                    server=server,
                    decision=Decision.ALLOWED if success else Decision.DENIED,
                    outcome=OK if success else ERROR,
                    detail=self._redaction.text(detail),
                    by=self._who(caller.principal),
                )
            )

    def administered(self, caller: Caller, method: str, path: str, status: int) -> None:
        """A request to the admin API was answered."""
        if self._auditing is not None:
            decision = Decision.DENIED if status in (401, 403) else Decision.ALLOWED
            event = Event(
                time=self._auditing.now(),
                kind=Kind.ADMIN,
                ip=caller.ip,
                method=method[:MAX_TEXT],
                name=self._redaction.text(path),
                decision=decision,
                outcome=str(status),
                by=self._who(caller.principal),
            )
            # strangers must not be able to drown everybody else
            (self._auditing.note_denial if status == 401 else self._auditing.note)(event)

    def _kind(self, method: str) -> Kind | None:
        if method in CALLS:
            return Kind.CALL
        return Kind.LIST if method in LIST_METHODS and self._settings.lists else None

    def _event(
        self,
        kind: Kind,
        caller: Caller,
        request: Request,
        server: str,
        decision: Decision | None,
        rule: str,
        outcome: str,
        seconds: float | None,
        detail: str,
    ) -> Event:
        assert self._auditing is not None, "looked at before"  # noqa: S101
        given = request.params.get("arguments")
        arguments = ""
        redacted: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
        if given is not None and self._settings.arguments is Arguments.DIGEST:
            arguments = arguments_digest(self._key, given)
        elif given is not None and self._settings.arguments is Arguments.REDACTED:
            redacted = msgspec.Raw(self._redaction.arguments(given))
        return Event(
            time=self._auditing.now(),
            kind=kind,
            ip=caller.ip,
            session=self._session(request.client.session),
            request=request.id[:MAX_ID].decode(errors="replace"),
            method=request.method[:MAX_TEXT],
            server=server,
            name=self._name(request),
            decision=decision,
            rule=rule,
            outcome=outcome,
            duration_ms=None if seconds is None else round(seconds * 1e3, 3),
            arguments=arguments,
            redacted=redacted,
            detail=detail,
            by=self._who(caller.principal),
        )

    def _name(self, request: Request) -> str:
        name = jsonrpc.text(request.params.get(_NAMES.get(request.method, ""))) or ""
        return self._redaction.text(name) if "://" in name or len(name) > MAX_TEXT else name

    def _who(self, principal: Principal) -> Who:
        found = self._known.get(principal)
        if found is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            found = self._known[principal] = who(principal)
        return found

    def _session(self, nonce: bytes) -> str:
        found = self._sessions.get(nonce)
        if found is None:
            if len(self._sessions) >= MAX_KNOWN:
                self._sessions.clear()
            found = self._sessions[nonce] = session_digest(self._key, nonce)
        return found


def recorder_of(
    settings: AuditSettings | None, key: bytes, node: str, find_audit: Callable[[], Writer], name: str | None = None
) -> Recorder:
    """The recorder of an ingress replica on a node; without an audit one that does nothing.

    `name` is what nobody else has; made up, if it is not given.
    """
    if settings is None:
        return Recorder()
    source = f"ingress:{node[:12]}:{name or uuid.uuid4().hex[:16]}"
    return Recorder(Auditing(source, find_audit, settings), settings, key)
