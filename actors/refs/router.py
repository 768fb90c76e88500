"""What you hold in order to talk to the Router."""

from collections.abc import Mapping, Sequence
from typing import Any

from actors.core.limits.report import LimitReport, LimitShares
from actors.core.link_keys import LinkKeys
from actors.core.link_refusal import Refused
from actors.core.load import Load
from actors.core.membership import Heard, ReplicaKey, Status
from actors.core.roster import Changes, Orders
from actors.core.server_state import ServerState
from actors.core.session_book import NO_REASONS, Opening
from actors.core.session_end import End
from actors.core.session_state import Change, Found, SessionNews, SessionState
from actors.core.settings import BackendSettings
from actors.core.terms import Terms
from actors.core.tokens.revocations import Revocations
from actors.core.view import View
from actors.refs.asking import CALL_LIMIT, START_LIMIT, WATCH_SECONDS, ask, tell


class RouterRef:
    """How everyone talks to the Router."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def report(self, status: Status) -> None:
        """See `Router.report`.

        Raises:
            ActorGone: it has not heard.
        """
        await ask(self._handle.report, status)

    async def beat(
        self, key: ReplicaKey, epoch: str, sequence: int, load: Load, link_key: int, refused: Refused
    ) -> Heard:
        """See `Router.beat`.

        Raises:
            ActorGone: it has not heard.
        """
        heard: Heard = await ask(self._handle.beat, key, epoch, sequence, load, link_key, refused)
        return heard

    async def link_keys(self) -> LinkKeys:
        """See `Router.link_keys`.

        Raises:
            ActorGone: nothing is known now.
        """
        keys: LinkKeys = await ask(self._handle.link_keys)
        return keys

    async def knows_link_key(self, number: int) -> bool:
        """See `Router.knows_link_key`.

        Raises:
            ActorGone: nobody knows.
        """
        return bool(await ask(self._handle.knows_link_key, number, limit=START_LIMIT))

    async def tell_link_keys(self, keys: LinkKeys) -> None:
        """See `Router.tell_link_keys`.

        Raises:
            ActorGone: it may not have heard; it may be told again.
        """
        await ask(self._handle.tell_link_keys, keys, limit=START_LIMIT)

    def bury(self, key: ReplicaKey, epoch: str) -> None:
        """See `Router.bury`; if it does not hear, the next life of the replica tells it."""
        tell(self._handle.bury, key, epoch)

    async def close(self) -> None:
        """See `Router.close`.

        Raises:
            ActorGone: it has not heard.
        """
        await ask(self._handle.close)

    async def flush(self) -> None:
        """See `Router.flush`.

        Raises:
            ActorGone: perhaps not everything is written.
        """
        await ask(self._handle.flush)

    async def watch(self, generation: str, version: int) -> View:
        """See `Router.watch`.

        Raises:
            ActorGone: no View this time.
        """
        view: View = await ask(self._handle.watch, generation, version, limit=WATCH_SECONDS + CALL_LIMIT)
        return view

    async def orders(self, generation: str, version: int) -> Orders:
        """See `Router.orders`.

        Raises:
            ActorGone: no orders this time.
        """
        limit = WATCH_SECONDS + CALL_LIMIT
        orders: Orders = await ask(self._handle.orders, generation, version, limit=limit)
        return orders

    async def adopt(self, orders: Orders) -> None:
        """See `Router.adopt`.

        Raises:
            ActorGone: it has not heard.
        """
        await ask(self._handle.adopt, orders, limit=START_LIMIT)

    async def configure(self, backends: Sequence[BackendSettings], terms: Terms | None = None) -> Changes:
        """See `Router.configure`.

        Raises:
            ActorGone: it may not have heard; it may be told again.
        """
        changes: Changes = await ask(self._handle.configure, tuple(backends), terms)
        return changes

    async def add_server(self, name: str, settings: BackendSettings, source: bytes) -> str:
        """See `Router.add_server`.

        Raises:
            ActorGone: it may not have heard.
        """
        return str(await ask(self._handle.add_server, name, settings, source))

    async def remove_server(self, name: str) -> str:
        """See `Router.remove_server`.

        Raises:
            ActorGone: it may not have heard.
        """
        return str(await ask(self._handle.remove_server, name))

    async def servers(self) -> tuple[ServerState, ...]:
        """See `Router.servers`.

        Raises:
            ActorGone: nothing is known now.
        """
        servers: tuple[ServerState, ...] = await ask(self._handle.servers)
        return servers

    async def accept_definitions(self, name: str) -> str:
        """See `Router.accept_definitions`.

        Raises:
            ActorGone: it may not have heard; it may be asked again.
        """
        return str(await ask(self._handle.accept_definitions, name))

    async def ask_reload(self) -> int:
        """See `Router.ask_reload`.

        Raises:
            ActorGone: it may not have heard.
        """
        return int(await ask(self._handle.ask_reload))

    async def house(self, key: ReplicaKey, host: str) -> bool:
        """See `Router.house`.

        Raises:
            ActorGone: it may not have heard.
        """
        return bool(await ask(self._handle.house, key, host))

    async def holdings(self, host: str) -> tuple[tuple[ReplicaKey, BackendSettings, int], ...]:
        """See `Router.holdings`.

        Raises:
            ActorGone: nothing is known now.
        """
        held: tuple[tuple[ReplicaKey, BackendSettings, int], ...] = await ask(self._handle.holdings, host)
        return held

    def wake(self, name: str) -> None:
        """See `Router.wake`; whoever wants it wakes it again if it does not come."""
        tell(self._handle.wake, name)

    async def clear(self, key: ReplicaKey) -> None:
        """See `Router.clear`.

        Raises:
            ActorGone: it may not have heard.
        """
        await ask(self._handle.clear, key)

    async def open_session(self, state: SessionState, most: int | None = None) -> Opening:
        """See `Router.open_session`.

        Raises:
            ActorGone: it may not have heard.
        """
        opening: Opening = await ask(self._handle.open_session, state, most)
        return opening

    async def share_limits(self, report: LimitReport) -> LimitShares:
        """See `Router.share_limits`.

        Raises:
            ActorGone: it may not have heard.
        """
        shares: LimitShares = await ask(self._handle.share_limits, report)
        return shares

    async def revoke(self, revocations: Revocations) -> None:
        """See `Router.revoke`.

        Raises:
            ActorGone: it may not have heard.
        """
        await ask(self._handle.revoke, revocations)

    async def knows_revocations(self, mark: str) -> bool:
        """See `Router.knows_revocations`.

        Raises:
            ActorGone: nobody knows.
        """
        return bool(await ask(self._handle.knows_revocations, mark))

    async def find_sessions(self, asked: Sequence[SessionState]) -> Found:
        """See `Router.find_sessions`.

        Raises:
            ActorGone: nothing was found out.
        """
        found: Found = await ask(self._handle.find_sessions, asked)
        return found

    async def change_session(self, asked: SessionState, change: Change) -> Found:
        """See `Router.change_session`.

        Raises:
            ActorGone: it may not have heard.
        """
        found: Found = await ask(self._handle.change_session, asked, change)
        return found

    async def touch_sessions(self, nonces: Sequence[bytes]) -> None:
        """See `Router.touch_sessions`.

        Raises:
            ActorGone: it may not have heard.
        """
        await ask(self._handle.touch_sessions, nonces)

    async def tell_sessions(
        self, states: Sequence[SessionState], ended: Sequence[bytes], reasons: Mapping[bytes, End] = NO_REASONS
    ) -> None:
        """See `Router.tell_sessions`.

        Raises:
            ActorGone: it may not have heard; it may be told again.
        """
        await ask(self._handle.tell_sessions, states, ended, dict(reasons))

    async def session_news(self, generation: str, after: int) -> SessionNews:
        """See `Router.session_news`.

        Raises:
            ActorGone: no news this time.
        """
        limit = WATCH_SECONDS + CALL_LIMIT
        news: SessionNews = await ask(self._handle.session_news, generation, after, limit=limit)
        return news
