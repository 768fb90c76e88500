"""What became of a call: `Reply` or `Failure`. Both are values; exceptions stay in their process."""

from enum import StrEnum
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.revisions import Era


class FailureKind(StrEnum):
    """Why a call produced no reply; each kind has one meaning and one sentence."""

    UNAVAILABLE = "unavailable"
    """The backend is not up: it is starting, crashed, or could not be reached."""
    BREAKER_OPEN = "breaker_open"
    BUSY = "busy"
    """At its limit of calls, or the link to it is full."""
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    """It went away before it answered; the call may have run."""
    TOO_LARGE = "too_large"
    PROTOCOL = "protocol"
    """It answered something that is not MCP."""
    CANCELLED = "cancelled"
    UNSUPPORTED = "unsupported"
    """What was asked cannot be carried to this server."""
    SUPERSEDED = "superseded"
    """The answer is read over another stream now; this one was taken for broken."""
    REPLAYED = "replayed"
    """The state that the request continues was used before, or is too old to be used."""
    SESSION_LOST = "session_lost"
    """The replica or the server that had the state of the client's session is gone; the call did not run."""
    UNAUTHORIZED = "upstream_unauthorized"
    """There is no token for the server, or it takes none of the gateway's; the call did not run."""
    CONSENT = "consent"
    """The user must first let the gateway act for them at the server; the call did not run."""


NEVER_SENT: Final = frozenset({FailureKind.UNAVAILABLE, FailureKind.BREAKER_OPEN, FailureKind.BUSY})
"""The server has not seen the call, so another replica may have it."""


class Reply(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """The server answered. A JSON-RPC error is an answer too."""

    body: bytes
    """A JSON object: the `result` member, or the `error` member if `is_error`."""
    era: Era
    """The era whose form the body has."""
    is_error: bool = False


class Failure(msgspec.Struct, frozen=True, array_like=True, tag="f"):
    """The backend did not answer."""

    kind: FailureKind
    backend: str
    detail: str = ""
    """More for a person to read; never a secret."""
    retry_after: float | None = None
    """Seconds the caller should wait, when we know."""


Outcome = Reply | Failure

SENTENCES: Final = {
    FailureKind.UNAVAILABLE: "backend {backend!r} is not available",
    FailureKind.BREAKER_OPEN: "backend {backend!r} failed too often and is left alone for a while",
    FailureKind.BUSY: "backend {backend!r} is at its limit of calls",
    FailureKind.TIMEOUT: "backend {backend!r} did not answer in time",
    FailureKind.DISCONNECTED: "backend {backend!r} went away before it answered; the call may have run",
    FailureKind.TOO_LARGE: "backend {backend!r} sent a message over the size limit",
    FailureKind.PROTOCOL: "backend {backend!r} answered something that is not MCP",
    FailureKind.CANCELLED: "the call to backend {backend!r} was cancelled",
    FailureKind.UNSUPPORTED: "backend {backend!r} cannot do this",
    FailureKind.SUPERSEDED: "the answer of backend {backend!r} goes to another stream now",
    FailureKind.REPLAYED: "this call to backend {backend!r} was continued before; call again from the beginning",
    FailureKind.SESSION_LOST: "the state that this session had at backend {backend!r} is gone; begin anew",
    FailureKind.UNAUTHORIZED: "the gateway is not authorized at backend {backend!r}",
    FailureKind.CONSENT: "the user must first let the gateway act for them at backend {backend!r}",
}

CODES: Final = {FailureKind.REPLAYED: jsonrpc.INVALID_PARAMS}
"""The JSON-RPC code of failures that are the client's doing; all others are `INTERNAL_ERROR`."""


def failure_error(failure: Failure) -> bytes:
    """A failure as a JSON-RPC error object.

    Mostly `INTERNAL_ERROR` with a reason in `data`: the codes around it are reserved (2026-07-28, basic, Error Codes).
    """
    sentence = SENTENCES[failure.kind].format(backend=failure.backend)
    message = f"{sentence}: {failure.detail}" if failure.detail else sentence
    data: dict[str, str | float] = {"reason": failure.kind.value, "backend": failure.backend}
    if failure.retry_after is not None:
        data["retryAfter"] = round(failure.retry_after, 3)
    return jsonrpc.error(CODES.get(failure.kind, jsonrpc.INTERNAL_ERROR), message, data)
