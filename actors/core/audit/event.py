"""One thing that the audit remembers: who did what, from where, whether they might, and what came of it.

What others wrote is cut to a length, so that no event grows without bound.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.principal import Principal, parts_of

MAX_TEXT: Final = 256
"""Characters of each text that somebody else chose: a longer name of a tool, subject or URI is no use to a reader."""


class Kind(StrEnum):
    """What happened."""

    START = "start"
    STOP = "stop"
    CONFIG = "config"
    """The configuration was read again."""
    CALL = "call"
    LIST = "list"
    """A list was answered from the catalogue."""
    LOGIN = "login"
    DENIAL = "denial"
    """Somebody was turned away before it was looked at what they want."""
    CONSENT = "consent"
    """A user lets the gateway act for them at a server, or not any more: `method` says which step it is."""
    ADMIN = "admin"
    """A request to the admin API."""
    SESSION = "session"
    """A session of a client was opened, or has ended; `detail` says why, see `session_end.End`."""
    DEFINITION = "definition"
    """What a server says of its tools was found to be new, changed or flagged, or was agreed to."""
    LOSS = "loss"
    """Events, `count` of them, that are not in the log; `detail` says why."""
    FILE = "file"
    """Begins a file of the log; `oldest` is the first line that is still kept then."""
    TORN = "torn"
    """`detail` has what a writer that died in the middle of a line had written of it."""


class Decision(StrEnum):
    """Whether it might be done."""

    ALLOWED = "allowed"
    DENIED = "denied"


class Who(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Who did it; no credential is in it."""

    credential: str = ""
    """How they were recognised, see `principal.Kind`."""
    subject: str = ""
    issuer: str = ""
    client: str = ""
    actor: str = ""
    """Who acted on the subject's behalf."""
    token: str = ""
    """The id of the token or key; it is no secret."""
    roles: tuple[str, ...] = ()


NOBODY: Final = Who()

OPENED: Final = "opened"
ENDED: Final = "ended"
"""The outcomes of sessions."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """As it stands in the log; what is empty is left out."""

    time: datetime
    """With its zone, UTC."""
    kind: Kind
    by: Who = NOBODY
    ip: str = ""
    session: str = ""
    """A digest: equal for what was said in one session."""
    request: str = ""
    """The id that the client gave it, raw JSON."""
    method: str = ""
    server: str = ""
    """The backend; empty if none was reached."""
    name: str = ""
    """The tool, prompt or resource, as the client named it."""
    decision: Decision | None = None
    rule: str = ""
    """What decided, if a rule did."""
    outcome: str = ""
    """As the metrics have it; of what comes over plain HTTP, the status."""
    duration_ms: float | None = None
    arguments: str = ""
    """Their digest, see `arguments_digest`."""
    redacted: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """Themselves, see `Redaction`."""
    detail: str = ""
    count: int = 0
    oldest: int = 0


def who(principal: Principal) -> Who:
    """What an event says of a principal."""
    return Who(
        credential=principal.kind.value,
        subject=principal.subject[:MAX_TEXT],
        issuer=principal.issuer[:MAX_TEXT],
        client=principal.client[:MAX_TEXT],
        actor=principal.actor[:MAX_TEXT],
        token=principal.token_id[:MAX_TEXT],
        roles=principal.roles,
    )


def owner_of(key: str) -> Who:
    """As much of it as a `Principal.key` tells."""
    kind, issuer, subject = parts_of(key)
    return Who(credential=kind, subject=subject[:MAX_TEXT], issuer=issuer[:MAX_TEXT])


def encoded(event: Event) -> bytes:
    """An event as JSON without line breaks."""
    return jsonrpc.encode(event)
