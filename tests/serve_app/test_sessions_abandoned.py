"""Sessions that nobody ends leave nothing behind: neither at an ingress replica nor at the Router."""

import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from actors.core.recent_ends import KEEP_SECONDS
from serve_app.sessions import Sessions
from tests.support.hand_clock import HandClock
from tests.support.session_router import IDLE_SECONDS, SessionRouter

SESSIONS = 10_000
BYTES_EACH = 300
"""Less than a session takes at the two of them together; what is left of all must be less than that of a hundred.

The tables that they were in stay as large as they were once, so the second ten thousand are measured.
"""


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def memory() -> int:
    """Bytes that Python holds."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


class Place:
    """A Router and an ingress replica that follows it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.router = SessionRouter(self.clock, max_sessions=SESSIONS)
        self.sessions = Sessions(self.router.find, lambda *_: None, idle_seconds=IDLE_SECONDS, clock=self.clock)
        self._opened = 0

    async def come(self, count: int) -> list[bytes]:
        """Open sessions, change some, and use all."""
        nonces = [(self._opened + number).to_bytes(16, "big") for number in range(count)]
        self._opened += count
        for number, nonce in enumerate(nonces):
            assert await self.sessions.open(nonce, "anybody", b'{"name":"soak"}')
            if number % 10 == 0:
                assert await self.sessions.subscribe(nonce, f"file:///{number}")
            if number % 10 == 1:
                assert await self.sessions.set_level(nonce, "debug")
            self.sessions.touch(nonce)
        await self.sessions.report()
        return nonces

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and both of them look round."""
        self.clock.advance(seconds)
        self.router.desk.look_round()
        await self.sessions.read_news()
        await self.sessions.report()
        self.router.calls.clear()


async def test_ten_thousand_abandoned_sessions_end_and_their_memory_is_there_for_the_next(traced: None) -> None:
    place = Place()
    peaks, afters = [], []
    for _ in range(2):
        nonces = await place.come(SESSIONS)
        peaks.append(memory())
        await place.pass_by(IDLE_SECONDS)
        assert not [nonce for nonce in nonces if await place.sessions.find(nonce, "anybody") is not None]
        await place.pass_by(KEEP_SECONDS)
        del nonces
        afters.append(memory())

    assert len(place.router.book) == 0
    assert peaks[1] - afters[0] > SESSIONS * BYTES_EACH
    assert afters[1] - afters[0] < 100 * BYTES_EACH
