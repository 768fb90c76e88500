"""Tokens that are kept while they are good: each is asked for by one at a time, whoever waits, and renewed in time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, TypeVar

from actors.core.expiring import Expiring
from actors.transports.authorization import ConsentError, CredentialError

MAX_TOKENS: Final = 10_000
"""Principals with a token at a time; then the one longest unused makes room, and asks again."""

MAX_WAITING: Final = 256
"""Requests for tokens under way at once, for all principals; it is the callers who wait."""

WAIT_SECONDS: Final = 25.0
"""How long a request waits for its token: for three documents and a little."""

PAUSE_SECONDS: Final = 5.0
"""After there was no token, or it was refused, none is asked for sooner: whatever callers do, it is no flood."""

EARLY: Final = (0.1, 0.2)
"""The share of its time, somewhere between the two, that a token is renewed before its end."""

MOST_EARLY: Final = 120.0
"""Seconds."""

T = TypeVar("T")


class Kept(NamedTuple, Generic[T]):
    """What was given to who asked. Times are of the monotonic clock, in seconds."""

    token: T
    renew_at: float
    """From then on another is asked for, and nobody waits for that."""
    until: float
    """From then on it is worth nothing; one whose time is over is given to those who waited, and not kept."""


def early_seconds(seconds: float, dice: float) -> float:
    """How many seconds before its end a token is renewed that is good for so many; `dice` is from 0 up to 1."""
    least, most = EARLY
    return min(seconds * (least + (most - least) * dice), MOST_EARLY)


class KeptTokens(Generic[T]):
    """Of one replica of a backend, one for each principal. `clock` is monotonic, in seconds."""

    def __init__(
        self, ask: Callable[[str], Awaitable[Kept[T]]], failed: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        """`ask` asks for the token of a principal; `failed` hears why there was none, in words for callers.

        `ask` raises `OSError` if there is none. A `ConsentError` is never remembered: the user may agree at any moment.
        """
        self._ask = ask
        self._heard_failure = failed
        self._clock = clock
        self._kept: Expiring[str, Kept[T]] = Expiring(MAX_TOKENS)
        self._failed: Expiring[str, str] = Expiring(MAX_TOKENS)
        """Why a principal has no token, for a moment."""
        self._asking: dict[str, asyncio.Task[T]] = {}

    async def get(self, principal: str) -> T:
        """The token of a principal. Rungs, in order; the first which decides wins:

        1. One that need not be renewed yet.
        2. One that is still good, while another is on its way.
        3. After a failure there is none for a moment, and none for whom there is no room to ask.
        4. The one that is asked for now, whoever asked first.

        Raises:
            ConsentError: the user must agree first.
            CredentialError: there is none, or not in time.
        """
        now = self._clock()
        kept = self._kept.get(principal, now)
        if kept is not None and now < kept.renew_at:
            return kept.token
        failed = self._failed.get(principal, now)
        if failed is None and principal not in self._asking and len(self._asking) < MAX_WAITING:
            self._begin(principal)
        if kept is not None:
            return kept.token
        task = self._asking.get(principal)
        if task is None:
            raise CredentialError(failed or "too many callers wait for a token for it")
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await asyncio.shield(task)  # others wait for the same
        except TimeoutError:
            raise CredentialError("no token in time") from None

    def kept(self, principal: str) -> T | None:
        """The token that is kept of a principal."""
        kept = self._kept.get(principal, self._clock())
        return None if kept is None else kept.token

    def drop(self, principal: str) -> None:
        """Let go of the token that is kept; one that is on its way takes its place."""
        self._kept.drop(principal)

    def forget(self, principal: str) -> None:
        """Ask anew before the principal's next request, whatever happened before.

        What is under way may be of before that: nobody else gets it, and it is not kept.
        """
        self._failed.drop(principal)
        self._kept.drop(principal)
        self._asking.pop(principal, None)

    def pause(self, principal: str, reason: str) -> None:
        """Ask for none for a moment; `reason` is what the principal's requests fail with."""
        self._failed.put(principal, reason, until=self._clock() + PAUSE_SECONDS)

    def _begin(self, principal: str) -> None:
        task = asyncio.get_running_loop().create_task(self._asked(principal))
        self._asking[principal] = task
        task.add_done_callback(lambda _: self._ended(principal, task))

    def _ended(self, principal: str, task: asyncio.Task[T]) -> None:
        if self._asking.get(principal) is task:
            del self._asking[principal]
        if not task.cancelled():
            task.exception()  # looked at, also if nobody waits any more

    async def _asked(self, principal: str) -> T:
        try:
            kept = await self._ask(principal)
        except ConsentError:
            if self._is_asking(principal):
                self._kept.drop(principal)
            raise
        except OSError as error:
            reason = str(error) if isinstance(error, CredentialError) else f"no token: {error}"
            self.pause(principal, reason)
            self._heard_failure(reason)
            raise CredentialError(reason) from None
        if self._is_asking(principal):
            self._kept.put(principal, kept, until=kept.until)
        return kept.token

    def _is_asking(self, principal: str) -> bool:
        """Whether the task that runs is still the one that the principal waits for."""
        return self._asking.get(principal) is asyncio.current_task()
