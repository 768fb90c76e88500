"""Keeps one server there: starts it, reads what it has, notices when it goes, starts it again."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from actors.core.backoff import Backoff, CrashLoop
from actors.core.jsonrpc import Message
from actors.core.listing import Facts, Listing
from actors.core.membership import ReplicaState
from actors.core.revisions import Era
from actors.core.settings import BackendSettings
from actors.transports.transport import Transport
from actors.upstream.asking import UpstreamError
from actors.upstream.detect import open_upstream
from actors.upstream.upstream import Upstream

QUIET_SECONDS: Final = 0.1
"""A server that changes its lists says so many times at once; the lists are read once, this much later."""

CRASH_LOOP_EXITS: Final = 5
CRASH_LOOP_WINDOW: Final = 60.0
CRASH_LOOP_PAUSE: Final = 60.0
"""So many exits within so many seconds, and the next start waits this long."""

log = structlog.get_logger()


class Supervisor:
    """Owns the transport to one server and the adapter that speaks over it."""

    def __init__(
        self,
        settings: BackendSettings,
        connect: Callable[[BackendSettings], Transport],
        changed: Callable[[], None],
        *,
        clock: Callable[[], float],
        dice: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._changed = changed
        self._clock = clock
        self._dice = dice
        self._backoff = Backoff(first=0.5, factor=2.0, cap=30.0)
        self._crashes = CrashLoop(CRASH_LOOP_EXITS, CRASH_LOOP_WINDOW)
        self._transport: Transport | None = None
        self._life: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._gone = False
        self._stale = False
        self._next_start = 0.0
        self._era: Era | None = None
        self.upstream: Upstream | None = None
        """The adapter to send calls through; nothing while the server is not up."""
        self.state = ReplicaState.STARTING
        self.detail = "starting"
        self.restarts = 0
        self.facts: Facts | None = None
        self.listing: Listing | None = None
        self.settled = asyncio.Event()
        """Set once the server is up, or has failed for the first time."""

    def begin(self) -> None:
        """Start the server, and keep it started."""
        self._life = asyncio.get_running_loop().create_task(self._live())

    def retry_after(self) -> float | None:
        """Seconds until the next start, when one is waited for."""
        left = self._next_start - self._clock()
        return left if self.upstream is None and left > 0 else None

    async def stop(self) -> None:
        """End the server."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        self._move(ReplicaState.DOWN, "stopped")

    async def _live(self) -> None:
        failures = 0
        while True:
            lost = await self._serve_once()
            up_before = self.state is ReplicaState.UP
            failures = 1 if up_before else failures + 1
            pause = self._backoff.delay(failures, self._dice())
            if self._crashes.record(self._clock()):
                pause = max(pause, CRASH_LOOP_PAUSE)
                lost = f"{lost}; it keeps failing, the next start is in {pause:.0f} s"
            self._next_start = self._clock() + pause
            self._move(ReplicaState.DOWN, lost)
            self.settled.set()
            log.warning("backend_down", backend=self._settings.name, reason=lost, next_start_seconds=round(pause, 1))
            await asyncio.sleep(pause)
            self.restarts += 1

    async def _serve_once(self) -> str:
        """Start the server and follow it to its end; gives the reason of the end."""
        self._gone = self._stale = False
        reason = ""

        def closed(detail: str) -> None:
            nonlocal reason
            reason = reason or detail
            self._gone = True
            self._woken.set()

        async def connect() -> Transport:
            transport = self._connect(self._settings)
            transport.closed = closed
            try:
                await transport.connect()
            except BaseException:
                await transport.close()
                raise
            self._transport = transport
            return transport

        upstream: Upstream | None = None
        try:
            async with asyncio.timeout(self._settings.start_timeout):
                _, upstream = await open_upstream(
                    connect,
                    self._settings.name,
                    self._notified,
                    limit=self._settings.start_timeout,
                    known=self._era,
                )
                self._gone = False  # an old server may have died of the modern question, and been started again
                reason = ""
                self.listing = await upstream.list_everything()
            self.facts = upstream.facts
            self._era = upstream.facts.era
            self.upstream = upstream
            self._move(ReplicaState.UP, "")
            self.settled.set()
            log.info(
                "backend_up",
                backend=self._settings.name,
                era=self.facts.era.value,
                revision=self.facts.revision,
                tools=len(self.listing.tools),
            )
            await self._follow(upstream)
        except TimeoutError:
            reason = f"not ready within {self._settings.start_timeout:g} s"
        except (OSError, UpstreamError) as error:
            self._era = None
            reason = reason or str(error)
        except Exception:  # a bug in one conversation must not end the supervision of the server
            log.exception("conversation_failed", backend=self._settings.name)
            reason = reason or "the gateway failed while it spoke with it; see its log"
        finally:
            self.upstream = None
            if upstream is not None:
                upstream.stop()
            if self._transport is not None:
                await self._transport.close()
                self._transport = None
        return reason or "it went away"

    async def _follow(self, upstream: Upstream) -> None:
        """Read the lists again when they change, until the server is gone."""
        while not self._gone:
            self._woken.clear()
            if not self._stale:
                await self._woken.wait()
                continue
            await asyncio.sleep(QUIET_SECONDS)
            self._stale = False
            try:
                self.listing = await upstream.list_everything()
            except UpstreamError as error:
                log.warning("lists_not_read", backend=self._settings.name, reason=str(error))
            else:
                log.info("lists_changed", backend=self._settings.name, tools=len(self.listing.tools))
                self._changed()

    def _notified(self, message: Message) -> None:
        if message.method is not None and message.method.endswith("/list_changed"):
            self._stale = True
            self._woken.set()

    def _move(self, state: ReplicaState, detail: str) -> None:
        self.state = state
        self.detail = detail
        self._changed()
