"""What to do after an attempt at a call that failed: try again, where and when, or tell the caller."""

from dataclasses import dataclass
from typing import Final

from actors.core.backoff import Backoff
from actors.core.outcome import NEVER_SENT, Failure, FailureKind
from actors.core.traffic_settings import RetrySettings

MAY_HAVE_RUN: Final = frozenset({FailureKind.DISCONNECTED, FailureKind.PROTOCOL})
"""The server may have seen the call, and another attempt may get an answer."""

SAYS_WHEN: Final = frozenset({FailureKind.BUSY, FailureKind.BREAKER_OPEN})
"""The replica is there and refuses for a reason that a moment's wait does not change."""

MAX_DELAY: Final = 5.0
"""Seconds between two attempts at the most."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that failed, and how its call stands."""

    failure: Failure
    number: int
    """1 for the first."""
    repeatable: bool
    """Whether it does no harm to run the call twice."""
    others: bool
    """Whether a replica that was not tried takes calls."""
    hope: bool
    """Whether any replica is up, or starts just now."""
    time_left: float
    """Seconds the caller will still wait."""
    sent: bool = True
    """Whether it was sent to a replica at all."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again."""

    delay: float
    """Seconds to wait before."""
    elsewhere: bool
    """On a replica that was not tried; else on any."""
    charged: bool
    """Whether the retry budget pays for it."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Tell the caller."""

    reason: str


def next_step(policy: RetrySettings, attempt: Attempt, *, affordable: bool, dice: float) -> Retry | GiveUp:
    """Decide after a failed attempt. Rungs, in order; the first which decides wins.

    1. A failure that would be the same again is final.
    2. A call that may have run is not repeated unless that does no harm.
    3. No more than `max_attempts`.
    4. A call that no server has seen goes to another replica at once, and costs nothing.
    5. A replica that is there and refuses says itself when to come back: the caller is told.
    6. Where no replica is up or starts, there is nothing to wait for.
    7. What puts load on replicas once more is paid for by the retry budget: `affordable` says whether there is enough.
    8. No wait which the caller would not survive.

    `dice` is evenly distributed over [0, 1).
    """
    never_sent = attempt.failure.kind in NEVER_SENT
    delay = 0.0 if attempt.others else _backoff(policy).delay(attempt.number - 1, dice)
    charged = attempt.sent and not (never_sent and attempt.others)
    reason = ""
    if not never_sent and attempt.failure.kind not in MAY_HAVE_RUN:
        reason = "final"
    elif not never_sent and not attempt.repeatable:
        reason = "may_have_run"
    elif attempt.number >= policy.max_attempts:
        reason = "attempts_exhausted"
    elif not attempt.others and attempt.failure.kind in SAYS_WHEN:
        reason = "refused"
    elif not attempt.others and not attempt.hope:
        reason = "nobody_there"
    elif charged and not affordable:
        reason = "over_budget"
    elif delay >= attempt.time_left:
        reason = "out_of_time"
    return GiveUp(reason) if reason else Retry(delay, attempt.others, charged)


def _backoff(policy: RetrySettings) -> Backoff:
    return Backoff(first=policy.backoff, cap=max(policy.backoff, MAX_DELAY))
