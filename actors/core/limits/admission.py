"""What the limits say to a request, and how a client is told.

Source: draft-ietf-httpapi-ratelimit-headers-10; RFC 9651, section 3.3.3, for the strings.
"""

import math
from enum import StrEnum
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.limit_settings import RateSettings
from actors.core.routing import Rejection

STATUS: Final = 429
"""Of the HTTP response that says so."""

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields, with lower-case names."""


class Reason(StrEnum):
    """Why a request was refused; also what it is counted as."""

    RATE = "rate_limited"
    """Too many calls in too little time."""
    CALLS = "quota_calls"
    """Too many calls at the same time."""
    SESSIONS = "quota_sessions"
    STREAMS = "quota_streams"
    WEBSOCKETS = "quota_websockets"


SENTENCES: Final = {
    Reason.RATE: "rate limit {limit!r} is reached; try again in {seconds} s",
    Reason.CALLS: "as many calls as may be are running; let one end, or try again in {seconds} s",
    Reason.SESSIONS: "as many sessions as may be are open; end one first",
    Reason.STREAMS: "as many streams as may be are open; close one, or try again in {seconds} s",
    Reason.WEBSOCKETS: "as many WebSockets as may be are open; close one, or try again in {seconds} s",
}


class Policy:
    """A rate limit in the form of header fields."""

    __slots__ = ("_fixed", "_name", "rate")

    def __init__(self, rate: RateSettings) -> None:
        quoted = rate.name.replace("\\", "\\\\").replace('"', '\\"')
        self.rate = rate
        self._name = f'"{quoted}"'.encode()
        self._fixed = (b"ratelimit-policy", b"%b;q=%d;w=%d" % (self._name, rate.calls, math.ceil(rate.seconds)))

    def fields(self, remaining: float, seconds: float) -> Fields:
        """The limit, and what is left of it: calls, and the seconds until all of it is."""
        return self._fixed, (b"ratelimit", b"%b;r=%d;t=%d" % (self._name, max(0, remaining), math.ceil(seconds)))


class Refused(Rejection, frozen=True, gc=False):
    """A request that goes no further."""

    reason: Reason = Reason.RATE
    retry_after: float | None = None
    """Seconds after which another one may be admitted; nothing where time alone changes nothing."""
    policy: Policy | None = None

    @property
    def fields(self) -> Fields:
        """`Retry-After`, and what the limit is."""
        if self.retry_after is None:
            return ()
        seconds = _whole(self.retry_after)
        wait = (b"retry-after", b"%d" % seconds)
        return (wait,) if self.policy is None else (wait, *self.policy.fields(0, seconds))


def refused(reason: Reason, retry_after: float | None = None, policy: Policy | None = None) -> Refused:
    """The refusal of a request, by a rate limit if there is a `policy`."""
    limit = "" if policy is None else policy.rate.name
    seconds = None if retry_after is None else _whole(retry_after)
    data: dict[str, str | float] = {"reason": reason.value}
    if limit:
        data["limit"] = limit
    if retry_after is not None:
        data["retryAfter"] = round(retry_after, 3)
    message = SENTENCES[reason].format(limit=limit, seconds=seconds)
    rule = limit or reason.value
    return Refused(jsonrpc.INTERNAL_ERROR, message, data, rule, reason, retry_after, policy)


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """A request that may go on; of all its rate limits it names the one that allows the fewest more."""

    policy: Policy | None = None
    remaining: float = math.inf
    """Calls."""
    reset: float = 0.0
    """Seconds until the limit is as if nothing had been asked."""

    @property
    def fields(self) -> Fields:
        """What is left; nothing where there is no limit."""
        return () if self.policy is None else self.policy.fields(self.remaining, self.reset)


FREE: Final = Admitted()
"""No rate limit is about this."""


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
