"""Applies the limits at the edge; shares them with the other ingress replicas through the Router, in the background."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog

from actors.core.caller import Caller
from actors.core.incident import Incident
from actors.core.limit_settings import LimitSettings
from actors.core.limits.admission import Admitted, Reason, Refused, refused
from actors.core.limits.hold_count import HoldCount
from actors.core.limits.lease import INTERVAL_SECONDS
from actors.core.limits.limiter import Limiter
from actors.core.limits.place_count import PlaceCount, key_of
from actors.core.limits.quotas import Quotas
from actors.core.limits.report import LimitReport
from actors.core.principal import Principal
from actors.reachability import Reachability
from actors.refs.router import RouterRef
from serve_app.tallying import Note

ANSWER_SECONDS: Final = 2.0
"""How long the Router has for an answer; without one the last shares go on."""

log = structlog.get_logger()


class Limiting:
    """What one ingress replica lets through. No call waits for the Router; a stream does, where there is a quota."""

    def __init__(
        self,
        settings: LimitSettings,
        find_router: Callable[[], RouterRef],
        note: Note,
        *,
        source: str = "",
        replicas: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`source` names this replica to the Router, `replicas` is how many there are; `clock` is in seconds."""
        self._settings = settings
        self._replicas = replicas
        self._limiter = Limiter(settings.rates, replicas)
        self._quotas = Quotas(settings.quotas)
        self._calls = HoldCount(replicas)
        self._places = PlaceCount(replicas)
        self._find_router = find_router
        self._note = note
        self._source = source
        self._clock = clock
        self._router = Reachability("limits_shared", "limits_not_shared")

    def go_by(self, settings: LimitSettings) -> None:
        """Go by other settings from now on: allowances begin anew, and calls that run are counted until they end."""
        if settings == self._settings:
            return
        if settings.rates != self._settings.rates:
            self._limiter = Limiter(settings.rates, self._replicas)
        self._quotas = Quotas(settings.quotas)
        self._settings = settings

    def admit(self, caller: Caller, server: str = "", tool: str = "") -> Admitted | Refused:
        """See `Limiter.check`; a refusal is counted, by the name of the limit."""
        admission = self._limiter.check(caller, server, tool, self._clock())
        if isinstance(admission, Refused):
            self._note(Incident.LIMITED, server, admission.rule)
        return admission

    def enter(self, principal: Principal) -> Refused | None:
        """A call wants to run; `leave` must follow unless it is refused."""
        most = self._quotas.of(principal).calls
        refusal = None if most is None else self._calls.enter(principal.key, most, self._clock())
        return self._told(refusal)

    def leave(self, principal: Principal) -> None:
        """The call has ended, whatever the quota is by now."""
        self._calls.leave(principal.key)

    @asynccontextmanager
    async def hold(self, principal: Principal, what: Reason) -> AsyncIterator[Refused | None]:
        """A stream or a WebSocket of a principal, open as long as the block lasts, however it ends.

        A refusal is given to the block: then nothing is to be opened, and nothing is counted. If there are several
        replicas, the Router is asked: it may stay open for long, and the others may have as many as may be.
        """
        quota = self._quotas.of(principal)
        most = quota.websockets if what is Reason.WEBSOCKETS else quota.streams
        if most is None:
            yield None
            return
        key = key_of(what, principal)
        given = await self._ask(key, most) if self._replicas > 1 and self._router.reachable else None
        refusal = self._told(self._places.enter(key, most, what, given))
        try:
            yield refusal
        finally:
            if refusal is None:
                self._places.leave(key)

    def max_sessions(self, principal: Principal) -> int | None:
        """How many sessions a principal may have in the whole gateway; nothing if it has no quota."""
        return self._quotas.of(principal).sessions

    def refuse_session(self) -> Refused:
        """What a principal hears who has as many sessions as may be."""
        self._note(Incident.LIMITED, "", Reason.SESSIONS.value)
        return refused(Reason.SESSIONS)

    def _told(self, refusal: Refused | None) -> Refused | None:
        if refusal is not None:
            self._note(Incident.LIMITED, "", refusal.reason.value)
        return refusal

    async def _ask(self, key: str, most: int) -> bool | None:
        """Whether the Router gives a place; nothing if it does not answer."""
        want = self._places.want(key, most)
        if want is None:
            return False
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return (await self._find_router().share_limits(LimitReport(self._source, want=want))).given
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the Router, an equal part is as good as any
            log.debug("place_not_asked_for", reason=repr(error))
            return None
        finally:
            self._places.heard(key)

    async def exchange(self) -> None:
        """Tell the Router what was used, and go by its answer; without one everything goes on as it is."""
        now = self._clock()
        uses, holds = self._limiter.report(now), self._calls.report(now)
        places = self._places.report() if self._replicas > 1 else ()
        report = LimitReport(self._source, uses, holds, places)
        if not report:
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                shares = await self._find_router().share_limits(report)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the Router, calls are not to suffer from it
            self._router.missed(repr(error))
            self._limiter.go_on(self._clock())
            self._calls.go_on(self._clock())
            return
        self._router.reached()
        self._limiter.renew(shares.shares, self._clock())
        self._calls.renew(shares.grants, self._clock())

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Exchange for ever, if there is anybody to share with."""
        while self._replicas > 1:
            await sleep(INTERVAL_SECONDS)
            await self.exchange()
