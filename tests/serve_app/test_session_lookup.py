"""Looking sessions up: once for all who want the same, and many at a time."""

import asyncio
from collections.abc import Sequence

from actors.core.session_state import Found, SessionState
from actors.refs.gone import ActorGone
from serve_app.session_lookup import MAX_ASKED, SessionLookup
from tests.support.bus import until


def state(number: int) -> SessionState:
    return SessionState(number.to_bytes(16, "big"), "alice")


class Router:
    """Answers when it is told to: even nonces live."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self.open = asyncio.Event()
        self.gone = False

    async def ask(self, asked: Sequence[SessionState]) -> Found:
        self.asked.append([each.nonce for each in asked])
        await self.open.wait()
        if self.gone:
            raise ActorGone("Router")
        return Found(
            tuple(each for each in asked if each.nonce[-1] % 2 == 0),
            tuple(each.nonce for each in asked if each.nonce[-1] % 2 == 1),
        )


async def test_everyone_who_wants_the_same_session_shares_one_question() -> None:
    router = Router()
    lookup = SessionLookup(router.ask, 10.0)

    wanting = asyncio.gather(*(lookup.find(state(2)) for _ in range(50)))
    await asyncio.sleep(0)
    router.open.set()

    assert await wanting == [Found((state(2),))] * 50
    assert len(router.asked) == 1


async def test_what_is_wanted_during_a_question_is_asked_in_the_next_and_everyone_gets_his_own_answer() -> None:
    router = Router()
    lookup = SessionLookup(router.ask, 10.0)
    first = asyncio.create_task(lookup.find(state(0)))
    await until(lambda: bool(router.asked))

    others = asyncio.gather(*(lookup.find(state(number)) for number in range(1, MAX_ASKED + 2)))
    await asyncio.sleep(0)
    router.open.set()

    assert (await first).states == (state(0),)
    for number, found in enumerate(await others, start=1):
        nonce = state(number).nonce
        assert found == (Found((state(number),)) if nonce[-1] % 2 == 0 else Found((), (nonce,)))
    assert [len(asked) for asked in router.asked] == [1, MAX_ASKED, 1]


async def test_without_an_answer_nothing_is_found_and_the_next_question_is_asked_all_the_same() -> None:
    router = Router()
    router.open.set()
    router.gone = True
    lookup = SessionLookup(router.ask, 10.0)

    lost = await lookup.find(state(2))
    router.gone = False

    assert lost == Found()
    assert (await lookup.find(state(2))).states == (state(2),)


async def test_nobody_waits_longer_than_the_limit() -> None:
    router = Router()
    lookup = SessionLookup(router.ask, 0.01)

    found = await asyncio.wait_for(lookup.find(state(2)), 10.0)

    assert found == Found()


async def test_one_who_goes_away_takes_the_answer_from_nobody() -> None:
    router = Router()
    lookup = SessionLookup(router.ask, 10.0)
    leaving, staying = (asyncio.create_task(lookup.find(state(2))) for _ in range(2))
    await until(lambda: bool(router.asked))

    leaving.cancel()
    router.open.set()

    assert (await staying).states == (state(2),)
