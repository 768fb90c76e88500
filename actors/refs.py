"""Typed references over Ray handles: what you hold in order to talk to an actor. A dead actor becomes a value."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from ray.exceptions import RayError

from actors.core.load import Load
from actors.core.membership import ReplicaKey, Status
from actors.core.session_state import Change, Found, SessionNews, SessionState
from actors.core.tally import BackendFacts, Report
from actors.core.view import View

CALL_LIMIT: Final = 10.0
"""Seconds for a control-plane call that should be immediate."""

WATCH_SECONDS: Final = 25.0
"""How long the Router holds a watch that has nothing to tell."""


class ActorGone(Exception):  # noqa: N818 - it is not an error of ours
    """The actor is dead, restarting, or out of reach. Raised here only, so that callers never see Ray's errors."""


async def _ask(method: Any, *args: Any, limit: float = CALL_LIMIT) -> Any:
    try:
        async with asyncio.timeout(limit):
            return await method.remote(*args)
    except (RayError, TimeoutError) as error:
        raise ActorGone(type(error).__name__) from error


def _tell(method: Any, *args: Any) -> None:
    try:
        method.remote(*args)
    except RayError:
        return  # telling promises nothing; who must know will be told again


class RouterRef:
    """How everyone talks to the Router."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def report(self, status: Status) -> None:
        """See `Router.report`.

        Raises:
            ActorGone: it has not heard.
        """
        await _ask(self._handle.report, status)

    async def beat(self, key: ReplicaKey, epoch: str, sequence: int, load: Load) -> bool:
        """See `Router.beat`.

        Raises:
            ActorGone: it has not heard.
        """
        return bool(await _ask(self._handle.beat, key, epoch, sequence, load))

    async def close(self) -> None:
        """See `Router.close`.

        Raises:
            ActorGone: it has not heard.
        """
        await _ask(self._handle.close)

    async def watch(self, generation: str, version: int) -> View:
        """See `Router.watch`.

        Raises:
            ActorGone: no View this time.
        """
        view: View = await _ask(self._handle.watch, generation, version, limit=WATCH_SECONDS + CALL_LIMIT)
        return view

    async def open_session(self, state: SessionState) -> bool:
        """See `Router.open_session`.

        Raises:
            ActorGone: it may not have heard.
        """
        return bool(await _ask(self._handle.open_session, state))

    async def find_sessions(self, asked: Sequence[SessionState]) -> Found:
        """See `Router.find_sessions`.

        Raises:
            ActorGone: nothing was found out.
        """
        found: Found = await _ask(self._handle.find_sessions, asked)
        return found

    async def change_session(self, asked: SessionState, change: Change) -> Found:
        """See `Router.change_session`.

        Raises:
            ActorGone: it may not have heard.
        """
        found: Found = await _ask(self._handle.change_session, asked, change)
        return found

    async def touch_sessions(self, nonces: Sequence[bytes]) -> None:
        """See `Router.touch_sessions`.

        Raises:
            ActorGone: it may not have heard.
        """
        await _ask(self._handle.touch_sessions, nonces)

    async def tell_sessions(self, states: Sequence[SessionState], ended: Sequence[bytes]) -> None:
        """See `Router.tell_sessions`.

        Raises:
            ActorGone: it may not have heard; it may be told again.
        """
        await _ask(self._handle.tell_sessions, states, ended)

    async def session_news(self, generation: str, after: int) -> SessionNews:
        """See `Router.session_news`.

        Raises:
            ActorGone: no news this time.
        """
        limit = WATCH_SECONDS + CALL_LIMIT
        news: SessionNews = await _ask(self._handle.session_news, generation, after, limit=limit)
        return news


class MetricsRef:
    """How everyone talks to Metrics."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def report(self, report: Report) -> None:
        """See `Metrics.report`.

        Raises:
            ActorGone: it has not heard; the same report may be sent again.
        """
        await _ask(self._handle.report, report)

    def observe(self, backends: Sequence[BackendFacts]) -> None:
        """See `Metrics.observe`."""
        _tell(self._handle.observe, backends)

    async def render(self) -> bytes:
        """See `Metrics.render`.

        Raises:
            ActorGone: there is nothing to show.
        """
        page: bytes = await _ask(self._handle.render)
        return page


class BackendRef:
    """How the command talks to one Backend. Calls do not go this way: they travel on the bus."""

    def __init__(self, key: ReplicaKey, handle: Any) -> None:
        self.key = key
        self._handle = handle

    async def begin(self, limit: float) -> Status:
        """See `Backend.begin`; `limit` in seconds.

        Raises:
            ActorGone: its process did not start.
        """
        status: Status = await _ask(self._handle.begin, limit=limit)
        return status

    async def stop(self, drain_seconds: float) -> None:
        """See `Backend.stop`.

        Raises:
            ActorGone: it is not there to be stopped.
        """
        await _ask(self._handle.stop, drain_seconds, limit=drain_seconds + CALL_LIMIT)
