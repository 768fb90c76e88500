"""Sessions under any order of events: two ingress replicas, a Router that restarts and goes away, owners at limits."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.core.binding import Binding, binding_at
from actors.core.session_state import Lose, SessionState
from actors.router import GATHER_SECONDS
from serve_app.sessions import Sessions
from tests.support.bus import UNHURRIED
from tests.support.hand_clock import HandClock
from tests.support.session_router import IDLE_SECONDS, Heard, SessionRouter

MAX_SESSIONS = 4
OWNERS = ("crowd", "modest")
"""One who opens without measure, and one who stays within the limit."""

BACKENDS = ("git", "db")

replicas = st.integers(0, 1)
picks = st.integers(0, 1000)


class SessionsMachine(RuleBasedStateMachine):
    """What a test may do, and what must hold whatever it does."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = HandClock()
        self.router = SessionRouter(self.clock, max_sessions=MAX_SESSIONS, max_changes=6)
        self.heard = [Heard(), Heard()]
        self.replicas = [
            Sessions(self.router.find, heard, idle_seconds=IDLE_SECONDS, clock=self.clock) for heard in self.heard
        ]
        self.owner: dict[bytes, str] = {}
        self.modest: set[bytes] = set()
        """Sessions of the modest owner, that nobody has ended."""
        self.ended: set[bytes] = set()
        """Sessions that somebody has ended."""
        self.bound: dict[tuple[bytes, str], int] = {}
        """The number of the newest binding that anybody was told."""

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 10.0))

    def read(self, replica: int) -> None:
        """Follow as long as there is news."""
        for _ in range(10):
            self.do(self.replicas[replica].read_news())

    def find(self, replica: int, nonce: bytes) -> SessionState | None:
        found: SessionState | None = self.do(self.replicas[replica].find(nonce, self.owner[nonce]))
        return found

    def note(self, state: SessionState | None) -> None:
        if state is None:
            return
        for binding in state.bindings:
            key = state.nonce, binding.backend
            self.bound[key] = max(self.bound.get(key, 0), binding.number)

    @initialize(settled=st.booleans())
    def begin(self, settled: bool) -> None:
        if settled:
            self.clock.advance(GATHER_SECONDS)

    @rule(replica=replicas, crowd=st.booleans())
    def open(self, replica: int, crowd: bool) -> None:
        if not crowd and len(self.modest) == MAX_SESSIONS:
            return
        owner = OWNERS[0 if crowd else 1]
        nonce = len(self.owner).to_bytes(16, "big")
        self.owner[nonce] = owner
        if not crowd:
            self.modest.add(nonce)
        assert self.do(self.replicas[replica].open(nonce, owner))

    @precondition(lambda self: self.owner)
    @rule(replica=replicas, pick=picks)
    def end(self, replica: int, pick: int) -> None:
        nonce = list(self.owner)[pick % len(self.owner)]
        self.modest.discard(nonce)
        self.ended.add(nonce)
        self.do(self.replicas[replica].end(nonce))

    @precondition(lambda self: self.owner)
    @rule(replica=replicas, pick=picks, kind=st.sampled_from(["level", "subscribe", "unsubscribe", "bind", "lose"]))
    def change(self, replica: int, pick: int, kind: str) -> None:
        nonce = list(self.owner)[pick % len(self.owner)]
        sessions = self.replicas[replica]
        match kind:
            case "level":
                self.do(sessions.set_level(nonce, str(pick)))
            case "subscribe":
                self.do(sessions.subscribe(nonce, f"file:///{pick % 3}"))
            case "bind":
                binding = Binding(BACKENDS[pick % 2], pick % 5 + 1, pick % 3, "e1")
                self.note(self.do(sessions.bind(nonce, binding)))
            case "lose":
                known = sessions.known(nonce)
                for binding in known.bindings if known is not None else ():
                    self.note(self.do(sessions.lose(nonce, Lose(binding, certain=pick % 2 == 0)))[0])
            case _:
                self.do(sessions.unsubscribe(nonce, f"file:///{pick % 3}"))

    @precondition(lambda self: self.owner)
    @rule(replica=replicas, pick=picks)
    def look_for(self, replica: int, pick: int) -> None:
        nonce = list(self.owner)[pick % len(self.owner)]
        if not self.router.away and nonce not in self.ended:
            self.find(replica, nonce)

    @rule(replica=replicas, turns=st.integers(1, 30))
    def follow(self, replica: int, turns: int) -> None:
        """A little of what a replica does for ever, cut off anywhere."""

        async def for_a_moment() -> None:
            following = asyncio.create_task(self.replicas[replica].follow(lambda _seconds: asyncio.sleep(60)))
            for _ in range(turns):
                await asyncio.sleep(0)
            following.cancel()

        self.do(for_a_moment())

    @rule(replica=replicas)
    def report(self, replica: int) -> None:
        for nonce in self.owner:
            self.replicas[replica].touch(nonce)
        self.do(self.replicas[replica].report())

    @rule()
    def go_away(self) -> None:
        self.router.away = True

    @rule()
    def come_back(self) -> None:
        self.router.away = False

    @rule()
    def restart(self) -> None:
        """All replicas are heard before the Router has gathered, as its time for that is chosen."""
        live = {nonce for nonce in self.owner if any(nonce in replica._copy for replica in self.replicas)} - self.ended
        self.router.away = False
        self.router.restart()
        for replica in (0, 1, 0, 1):
            self.read(replica)
        self.clock.advance(GATHER_SECONDS)
        for nonce in live:
            by_limit = any(nonce in heard.ended for heard in self.heard)
            assert by_limit or self.router.book.find(nonce) is not None

    @rule()
    def settle(self) -> None:
        """With everybody there, all agree, and whatever was ended is so everywhere."""
        self.router.away = False
        for replica in (0, 1, 0, 1):
            self.read(replica)
        for nonce in self.owner:
            known = self.router.book.find(nonce)
            assert self.find(0, nonce) == self.find(1, nonce)
            assert known is None or self.find(0, nonce) == known
            if nonce in self.ended:
                assert self.find(0, nonce) is None
                assert self.find(1, nonce) is None
        for nonce in self.modest:
            assert self.router.book.find(nonce) is not None
        for (nonce, backend), number in self.bound.items():
            state = self.router.book.find(nonce)
            binding = None if state is None else binding_at(state.bindings, backend)
            assert state is None or (binding is not None and binding.number >= number)

    @invariant()
    def who_heard_of_an_end_never_finds_the_session_again(self) -> None:
        for sessions, heard in zip(self.replicas, self.heard, strict=True):
            for nonce in heard.ended:
                assert self.do(sessions.find(nonce, self.owner[nonce])) is None

    @invariant()
    def nobody_within_the_limit_loses_a_session(self) -> None:
        ended = {nonce for heard in self.heard for nonce in heard.ended}
        assert not ended & self.modest

    def teardown(self) -> None:
        self.settle()
        self.loop.close()


TestSessions = SessionsMachine.TestCase
TestSessions.settings = settings(UNHURRIED, max_examples=60, stateful_step_count=25)
