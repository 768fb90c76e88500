"""Asks a server again and again whether it is there, as long as it has said nothing by itself."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors.core.health import Health, check_pause
from actors.core.settings import BackendSettings
from actors.upstream.asking import UpstreamError
from actors.upstream.upstream import Upstream

log = structlog.get_logger()


class HealthChecks:
    """The checks of one backend's shared conversations, one after the other.

    `clock` is monotonic and in seconds, `dice` gives numbers from 0 up to 1, `sleep` takes seconds.
    """

    def __init__(
        self,
        settings: BackendSettings,
        *,
        clock: Callable[[], float],
        dice: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._name: Final = settings.name
        self._settings = settings.health
        self._clock = clock
        self._dice = dice
        self._sleep = sleep

    async def follow(self, upstream: Upstream, judged: Callable[[bool], None]) -> None:
        """Check one conversation until cancelled. `judged` hears whether the server is healthy when that changes.

        A server that has answered a call since the last check need not be asked: it is there.
        """
        health = Health(self._settings)
        heard, spent = upstream.replies, 0.0
        while self._settings.enabled:
            await self._sleep(max(0.0, check_pause(self._settings, self._dice()) - spent))
            began, replies = self._clock(), upstream.replies
            reason = None if replies != heard else await self._ask(upstream)
            heard, spent = replies, self._clock() - began
            if health.record(passed=reason is None):
                if health.healthy:
                    log.info("backend_healthy", backend=self._name)
                else:
                    log.warning("backend_unhealthy", backend=self._name, reason=reason)
                judged(health.healthy)

    async def _ask(self, upstream: Upstream) -> str | None:
        """Check once; gives why the server did not pass, if it did not."""
        try:
            await upstream.check(self._settings.timeout)
        except UpstreamError as error:
            return None if error.error is not None else str(error)  # who refuses is there
        return None
