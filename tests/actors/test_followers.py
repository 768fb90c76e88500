"""Who follows something that changes hears of each change, and never waits for ever."""

import asyncio

from actors.followers import Followers

LONG = 60.0


async def test_who_knows_something_else_does_not_wait() -> None:
    followers = Followers(LONG)

    async with asyncio.timeout(5):
        await followers.wait_while(lambda: False)


async def test_all_who_wait_are_woken_by_the_same_change() -> None:
    version = 1
    followers = Followers(LONG)
    waiting = [asyncio.create_task(followers.wait_while(lambda: version == 1)) for _ in range(3)]
    await asyncio.sleep(0)

    version = 2
    followers.wake()

    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)


async def test_a_change_that_changes_nothing_for_one_lets_it_wait_for_the_next() -> None:
    version = 1
    followers = Followers(LONG)
    waiting = asyncio.create_task(followers.wait_while(lambda: version == 1))
    await asyncio.sleep(0)

    followers.wake()
    await asyncio.sleep(0)
    waited = not waiting.done()
    version = 2
    followers.wake()

    assert waited
    async with asyncio.timeout(5):
        await waiting


async def test_nobody_waits_for_ever_for_what_does_not_change() -> None:
    followers = Followers(0.01)

    async with asyncio.timeout(5):
        await followers.wait_while(lambda: True)
