"""What nobody waits for has a bound, and what begins after the handshake waits for its end."""

import asyncio

from structlog.testing import capture_logs

from actors.transports.http_notices import MAX_SENDS, HttpNotices


class Posts:
    """Each is under way until `gate` is open."""

    def __init__(self) -> None:
        self.begun: list[asyncio.Task[None]] = []
        self.gate = asyncio.Event()

    def begin(self) -> asyncio.Task[None]:
        self.begun.append(asyncio.create_task(self._post()))
        return self.begun[-1]

    async def _post(self) -> None:
        await self.gate.wait()

    async def end(self) -> None:
        self.gate.set()
        await asyncio.gather(*self.begun)
        await asyncio.sleep(0)


async def test_beyond_the_bound_nothing_is_sent_until_something_has_arrived() -> None:
    notices, posts = HttpNotices("git"), Posts()

    with capture_logs() as logs:
        for _ in range(MAX_SENDS + 2):
            notices.begin(posts.begin)
    refused = len(posts.begun)
    await posts.end()
    notices.begin(posts.begin)

    assert refused == MAX_SENDS
    assert len(posts.begun) == MAX_SENDS + 1
    assert [(line["event"], line["backend"]) for line in logs] == [("send_dropped", "git")] * 2


async def test_only_the_end_of_the_handshake_is_waited_for() -> None:
    notices, posts, others = HttpNotices("git"), Posts(), Posts()
    others.gate.set()

    notices.begin(others.begin)
    await notices.greeted()  # before the handshake there is nothing to wait for
    notices.greet_next()
    notices.begin(posts.begin)
    notices.begin(others.begin)
    waiting = asyncio.create_task(notices.greeted())
    await others.end()
    waited = not waiting.done() and notices.greeting is posts.begun[0]
    await posts.end()

    assert waited
    async with asyncio.timeout(5):
        await waiting
    assert notices.greeting is None
