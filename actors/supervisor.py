"""Keeps one server there: starts it, reads what it has, notices when it goes, starts it again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors.conversation import Connect, Conversation
from actors.core.backoff import Backoff, CrashLoop
from actors.core.conversation_key import declared_for_all
from actors.core.endpoints import StdioEndpoint
from actors.core.jsonrpc import Message
from actors.core.listing import Facts, Listing
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind
from actors.core.revisions import Era
from actors.core.settings import BackendSettings
from actors.health_checks import HealthChecks
from actors.running_call import RunningCall
from actors.upstream.asking import UpstreamError
from actors.upstream.upstream import Upstream
from actors.watchers import Watchers

QUIET_SECONDS: Final = 0.1
"""A server that changes its lists says so many times at once; the lists are read once, this much later."""

CRASH_LOOP_EXITS: Final = 5
CRASH_LOOP_WINDOW: Final = 60.0
CRASH_LOOP_PAUSE: Final = 60.0
"""So many exits within so many seconds, and the next start waits this long."""

log = structlog.get_logger()


class Supervisor:
    """Owns the transport to one server and the adapter that speaks over it.

    `changed` is called when there is news for the Router. `clock` is monotonic and in seconds, `dice` gives numbers
    from 0 up to 1, `sleep` takes seconds.
    """

    def __init__(
        self,
        settings: BackendSettings,
        connect: Connect,
        changed: Callable[[], None],
        *,
        clock: Callable[[], float],
        dice: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._changed = changed
        self._clock = clock
        self._dice = dice
        self._sleep = sleep
        self._backoff = Backoff(first=0.5, factor=2.0, cap=30.0)
        self._crashes = CrashLoop(CRASH_LOOP_EXITS, CRASH_LOOP_WINDOW)
        self._checks = HealthChecks(settings, clock=clock, dice=dice, sleep=sleep)
        stateful = isinstance(settings.endpoint, StdioEndpoint)
        self._declared = declared_for_all(settings.isolation, stateful=stateful)
        self._life: asyncio.Task[None] | None = None
        self._outdated = asyncio.Event()
        self._hurried = asyncio.Event()
        self._next_start = 0.0
        self._era: Era | None = None
        self.upstream: Upstream | None = None
        """The adapter to send calls through; nothing while the server is not up."""
        self.state = ReplicaState.STARTING
        self.detail = "starting"
        """Why it is not up, for people."""
        self.restarts = 0
        self.facts: Facts | None = None
        self.listing: Listing | None = None
        """The last one read; kept while the server is away."""
        self.watchers = Watchers()
        """Who hears of updates of resources in this conversation."""
        self.settled = asyncio.Event()
        """Set once the server is up, has failed for the first time, or is not wanted any more."""

    def begin(self) -> None:
        """Start the server, and keep it started."""
        self._life = asyncio.get_running_loop().create_task(self._live())

    def absence(self) -> Failure | None:
        """Why a call cannot be sent, and when it can if that is known; nothing if the server is up."""
        if self.upstream is not None and self.state is ReplicaState.UP:
            return None
        left = self._next_start - self._clock()
        return Failure(FailureKind.UNAVAILABLE, self._settings.name, self.detail, left if left > 0 else None)

    def carry(self, call: RunningCall, seconds: float) -> None:
        """Send a call; it is given up after so many seconds."""
        if self.upstream is None:
            call.finished(Failure(FailureKind.UNAVAILABLE, self._settings.name, self.detail))
        else:
            call.start(self.upstream, seconds)

    def drop(self, call: RunningCall) -> None:
        """Let go of a call that is over: the adapter has done so already."""

    def hurry(self) -> None:
        """Start it now, if it waits for that: what it lacked is there."""
        self._hurried.set()

    async def stop(self) -> None:
        """End the server."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        self._move(ReplicaState.DOWN, "stopped")

    async def _live(self) -> None:
        waits = 0
        while True:
            async with Conversation(self._settings, self._connect, self._notified) as conversation:
                reason = await self._serve_once(conversation)
                waits = 0 if self._era is not None else waits  # it was up; maybe not well at the end
                pause = self._backoff.delay(waits, self._dice())
                waits += 1
                if self._crashes.record(self._clock()):
                    pause = max(pause, CRASH_LOOP_PAUSE)
                    reason = f"{reason}; it keeps failing"
                self._next_start = self._clock() + pause
                self._move(ReplicaState.DOWN, f"{reason}; attempt {waits + 1} follows in {pause:.2g} s")
            log.warning(
                "backend_down",
                backend=self._settings.name,
                reason=reason,
                next_attempt=waits + 1,
                next_start_seconds=round(pause, 1),
            )
            await self._pause(pause)
            self.restarts += 1

    async def _pause(self, seconds: float) -> None:
        """Wait before the next start, unless somebody is in a hurry."""
        waits = [asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._hurried.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _serve_once(self, conversation: Conversation) -> str:
        """Start the server and follow it to its end; gives the reason of the end."""
        self._hurried.clear()
        known, self._era = self._era, None
        self._outdated.clear()
        try:
            async with asyncio.timeout(self._settings.start_timeout):
                upstream = await conversation.open(known, self._declared)
                self.listing = await upstream.list_everything(self.listing or Listing())
            self._era = upstream.facts.era
            self.facts = upstream.facts
            self.upstream = upstream
            self.watchers.follow(upstream)
            self._move(ReplicaState.UP, "")
            log.info(
                "backend_up",
                backend=self._settings.name,
                era=self.facts.era.value,
                revision=self.facts.revision,
                tools=len(self.listing.tools),
            )
            return await self._follow(upstream, conversation)
        except TimeoutError:
            return f"not ready within {self._settings.start_timeout:g} s"
        except (OSError, UpstreamError) as error:
            return conversation.last_words or str(error)  # the owner may hear more than a caller
        except Exception:  # a bug in one conversation must not end the supervision of the server
            log.exception("conversation_failed", backend=self._settings.name)
            return "the gateway failed while it spoke with it; see its log"
        finally:
            self.upstream = None
            self.watchers.follow(None)

    async def _follow(self, upstream: Upstream, conversation: Conversation) -> str:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read_again(upstream))
            checking = tasks.create_task(self._checks.follow(upstream, self._judged))
            reason = await conversation.lost()
            reading.cancel()
            checking.cancel()
        return reason

    def _judged(self, healthy: bool) -> None:
        """The conversation is kept, and with it what runs in it; a server that is not well only gets no new calls."""
        checks = self._settings.health.unhealthy_after
        detail = "" if healthy else f"it did not answer {checks} health check{'s' if checks > 1 else ''}"
        self._move(ReplicaState.UP if healthy else ReplicaState.DOWN, detail)

    async def _read_again(self, upstream: Upstream) -> None:
        """Read the lists again whenever they have changed."""
        waits = 0
        while True:
            await self._outdated.wait()
            await self._sleep(QUIET_SECONDS)
            self._outdated.clear()
            try:
                listing = await upstream.list_everything(self.listing or Listing())
            except UpstreamError as error:
                log.warning("lists_not_read", backend=self._settings.name, reason=str(error))
                await self._sleep(self._backoff.delay(waits, self._dice()))
                waits += 1
                self._outdated.set()
                continue
            waits = 0
            if (listing, upstream.facts) != (self.listing, self.facts):
                self.listing, self.facts = listing, upstream.facts
                log.info("lists_changed", backend=self._settings.name, tools=len(listing.tools))
                self._changed()

    def _notified(self, message: Message) -> None:
        if message.method is not None and message.method.endswith("/list_changed"):
            self._outdated.set()
        else:
            self.watchers.heard(message)

    def _move(self, state: ReplicaState, detail: str) -> None:
        self.state = state
        self.detail = detail
        self.settled.set()
        self._changed()
