"""Typed references over Ray handles: what you hold in order to talk to an actor. A dead actor becomes a value."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import ray
from ray.exceptions import RayError

from actors.core.load import Load
from actors.core.membership import ReplicaKey, Status
from actors.core.roster import Changes, Orders
from actors.core.server_state import ServerState
from actors.core.session_state import Change, Found, SessionNews, SessionState
from actors.core.settings import BackendSettings
from actors.core.tally import BackendFacts, Report
from actors.core.view import View

CALL_LIMIT: Final = 10.0
"""Seconds for a control-plane call that should be immediate."""

START_LIMIT: Final = 60.0
"""Seconds for the first call of an actor: Ray may still be starting its process."""

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

    async def orders(self, generation: str, version: int) -> Orders:
        """See `Router.orders`.

        Raises:
            ActorGone: no orders this time.
        """
        limit = WATCH_SECONDS + CALL_LIMIT
        orders: Orders = await _ask(self._handle.orders, generation, version, limit=limit)
        return orders

    async def adopt(self, orders: Orders) -> None:
        """See `Router.adopt`.

        Raises:
            ActorGone: it has not heard.
        """
        await _ask(self._handle.adopt, orders, limit=START_LIMIT)

    async def configure(self, backends: Sequence[BackendSettings]) -> Changes:
        """See `Router.configure`.

        Raises:
            ActorGone: it may not have heard; it may be told again.
        """
        changes: Changes = await _ask(self._handle.configure, tuple(backends))
        return changes

    async def add_server(self, name: str, settings: BackendSettings, source: bytes) -> str:
        """See `Router.add_server`.

        Raises:
            ActorGone: it may not have heard.
        """
        return str(await _ask(self._handle.add_server, name, settings, source))

    async def remove_server(self, name: str) -> str:
        """See `Router.remove_server`.

        Raises:
            ActorGone: it may not have heard.
        """
        return str(await _ask(self._handle.remove_server, name))

    async def servers(self) -> tuple[ServerState, ...]:
        """See `Router.servers`.

        Raises:
            ActorGone: nothing is known now.
        """
        servers: tuple[ServerState, ...] = await _ask(self._handle.servers)
        return servers

    async def ask_reload(self) -> int:
        """See `Router.ask_reload`.

        Raises:
            ActorGone: it may not have heard.
        """
        return int(await _ask(self._handle.ask_reload))

    async def house(self, key: ReplicaKey, host: str) -> None:
        """See `Router.house`.

        Raises:
            ActorGone: it may not have heard.
        """
        await _ask(self._handle.house, key, host)

    async def holdings(self, host: str) -> tuple[tuple[ReplicaKey, BackendSettings, int], ...]:
        """See `Router.holdings`.

        Raises:
            ActorGone: nothing is known now.
        """
        held: tuple[tuple[ReplicaKey, BackendSettings, int], ...] = await _ask(self._handle.holdings, host)
        return held

    def wake(self, name: str) -> None:
        """See `Router.wake`; whoever wants it wakes it again if it does not come."""
        _tell(self._handle.wake, name)

    async def clear(self, key: ReplicaKey) -> None:
        """See `Router.clear`.

        Raises:
            ActorGone: it may not have heard.
        """
        await _ask(self._handle.clear, key)

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


class HostRef:
    """How the command talks to a process that several Backends share."""

    def __init__(self, name: str, handle: Any) -> None:
        self.name = name
        self.handle = handle

    async def holds(self, key: ReplicaKey) -> bool:
        """See `BackendHost.holds`.

        Raises:
            ActorGone: it is not there to be asked.
        """
        return bool(await _ask(self.handle.holds, key))

    def end(self) -> None:
        """End the process: nobody wants it any more."""
        ray.kill(self.handle, no_restart=True)


class BackendRef:
    """How the command talks to one Backend. Calls do not go this way: they travel on the bus."""

    def __init__(
        self,
        key: ReplicaKey,
        handle: Any,
        settings: BackendSettings | None = None,
        slot: int = 0,
        *,
        shared: bool = False,
    ) -> None:
        """`handle` is that of the process which holds it, `shared` says whether with others.

        Without `settings` it can be talked to, and not begun.
        """
        self.key = key
        self._handle = handle
        self._settings = settings
        self._slot = slot
        self._shared = shared

    async def begin(self, limit: float) -> Status:
        """See `BackendHost.begin`; `limit` in seconds.

        Raises:
            ActorGone: its process did not start.
        """
        status: Status = await _ask(self._handle.begin, self.key, self._settings, self._slot, limit=limit)
        return status

    async def trip(self) -> None:
        """See `Backend.trip`.

        Raises:
            ActorGone: it has not heard.
        """
        await _ask(self._handle.trip, self.key)

    async def reset(self) -> None:
        """See `Backend.reset`.

        Raises:
            ActorGone: it has not heard.
        """
        await _ask(self._handle.reset, self.key)

    async def stop(self, drain_seconds: float) -> None:
        """See `Backend.stop`.

        Raises:
            ActorGone: it is not there to be stopped.
        """
        await _ask(self._handle.stop, self.key, drain_seconds, limit=drain_seconds + CALL_LIMIT)

    def end(self) -> None:
        """End its process, unless it shares that: nobody wants it any more."""
        if not self._shared:
            ray.kill(self._handle, no_restart=True)
