"""A backend that leaves says so on its links, and knows when no call is under way to it any more."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from actors.bus import frames
from actors.bus.frames import Event, EventKind
from actors.bus.link import LinkSettings
from actors.bus.listener import Listener
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind
from tests.support.bus import CALL, KEYS, WAIT_SECONDS, RecordingBackend, dialled, exchange_id, reply, until
from tests.support.bus_peers import bare_caller, connect_stranger

STOPPING = Failure(FailureKind.UNAVAILABLE, "git", "it is stopping")


@asynccontextmanager
async def leaver(backend: RecordingBackend, link: LinkSettings | None = None) -> AsyncIterator[tuple[Listener, str]]:
    """A listener that the test has leave, and its address."""
    listener = Listener(KEYS, backend, backend="git", link_settings=link)
    with tempfile.TemporaryDirectory(prefix="bus") as folder:
        try:
            yield listener, await listener.start(f"unix:{Path(folder) / 's'}")
        finally:
            await listener.close()


async def test_who_is_told_opens_nothing_more_and_what_was_opened_before_goes_on():
    backend = RecordingBackend()
    async with leaver(backend) as (listener, address), dialled(address) as caller:
        attachment = caller.open(CALL, exchange_id(1))
        await until(lambda: len(backend.exchanges) == 1)
        listener.leave()
        await until(lambda: caller.leaving)

        refused = await caller.open(CALL, exchange_id(2)).next()
        backend.exchanges[0].finish(reply("done"))
        finished = await attachment.next()
        await listener.parted()

        assert refused == STOPPING
        assert finished == reply("done")
        assert len(backend.exchanges) == 1
        assert not caller.closed


async def test_a_call_that_is_under_way_is_waited_for_until_its_outcome_has_arrived():
    backend = RecordingBackend(lambda exchange: exchange.finish(STOPPING))
    async with leaver(backend) as (listener, address):
        peer = await bare_caller(address)
        listener.leave()
        parting = asyncio.create_task(listener.parted())
        peer.link.send(frames.Open(1, exchange_id(1), CALL))
        await until(lambda: len(peer.heard) == 2)
        assert not parting.done()

        peer.link.send(frames.Leaving())
        peer.link.send(frames.CancelOrigin(b"later"))
        await until(lambda: bool(backend.origins))
        assert not parting.done()

        peer.link.send(frames.Detach(1))
        await asyncio.wait_for(parting, WAIT_SECONDS / 2)

        assert peer.heard == [frames.Leaving(), frames.OutcomeFrame(1, STOPPING, Load())]
        peer.link.close("the test is over")


async def test_who_comes_while_a_backend_leaves_is_told_at_once_and_waited_for():
    async with leaver(RecordingBackend()) as (listener, address):
        listener.leave()

        peer = await bare_caller(address)
        parting = asyncio.create_task(listener.parted())
        await until(lambda: bool(peer.heard))
        assert not parting.done()
        peer.link.send(frames.Leaving())
        await asyncio.wait_for(parting, WAIT_SECONDS / 2)

        assert peer.heard == [frames.Leaving()]
        peer.link.close("the test is over")


async def test_every_caller_is_told_once_and_all_of_them_are_waited_for():
    async with leaver(RecordingBackend()) as (listener, address):
        peers = [await bare_caller(address) for _ in range(3)]
        listener.leave()
        listener.leave()
        parting = asyncio.create_task(listener.parted())
        for peer in peers:
            await until(lambda: bool(peer.heard))  # noqa: B023, awaited at once
            assert not parting.done()
            peer.link.send(frames.Leaving())
        await asyncio.wait_for(parting, WAIT_SECONDS / 2)

        assert [peer.heard for peer in peers] == [[frames.Leaving()]] * 3
        for peer in peers:
            peer.link.close("the test is over")


async def test_who_does_not_answer_is_not_waited_for_without_end():
    async with leaver(RecordingBackend(), LinkSettings(ping_seconds=0.01, silence_seconds=0.05)) as (listener, address):
        mute = await bare_caller(address)
        listener.leave()

        await asyncio.wait_for(listener.parted(), WAIT_SECONDS)

        assert not mute.link.closed
        mute.link.close("the test is over")


async def test_who_is_gone_is_not_waited_for():
    async with leaver(RecordingBackend()) as (listener, address):
        gone = await bare_caller(address)
        listener.leave()
        parting = asyncio.create_task(listener.parted())
        await until(lambda: bool(gone.heard))
        assert not parting.done()

        gone.link.abort("pulled")

        await asyncio.wait_for(parting, WAIT_SECONDS / 2)


async def test_a_stranger_has_opened_nothing_and_is_not_waited_for():
    async with leaver(RecordingBackend()) as (listener, address):
        stranger = await connect_stranger(address)
        await until(lambda: bool(listener._links))
        listener.leave()

        await asyncio.wait_for(listener.parted(), WAIT_SECONDS / 2)

        assert stranger.received == b""
        stranger.transport.abort()


async def test_a_goodbye_that_answers_nothing_is_no_answer_to_a_later_one():
    backend = RecordingBackend()
    async with leaver(backend) as (listener, address):
        peer = await bare_caller(address)
        peer.link.send(frames.Leaving())
        peer.link.send(frames.CancelOrigin(b"before"))
        await until(lambda: len(backend.origins) == 1)

        listener.leave()
        parting = asyncio.create_task(listener.parted())
        peer.link.send(frames.CancelOrigin(b"after"))
        await until(lambda: len(backend.origins) == 2)

        assert not parting.done()
        peer.link.send(frames.Leaving())
        await asyncio.wait_for(parting, WAIT_SECONDS / 2)
        peer.link.close("the test is over")


async def test_a_running_call_is_read_on_by_who_lost_its_link_and_its_outcome_is_waited_for():
    backend = RecordingBackend()
    async with leaver(backend) as (listener, address), dialled(address) as second:
        async with dialled(address) as first:
            first.open(CALL, exchange_id(1))
            await until(lambda: len(backend.exchanges) == 1)
        listener.leave()
        await until(lambda: second.leaving)
        await until(lambda: all(each.parted.is_set() for each in listener._links))

        attachment = second.attach(exchange_id(1), 0)
        await until(lambda: backend.exchanges[0].reader is not None)
        parting = asyncio.create_task(listener.parted())
        await asyncio.sleep(0)
        assert not parting.done()
        backend.exchanges[0].finish(reply("done"))

        assert await attachment.next() == reply("done")
        await asyncio.wait_for(parting, WAIT_SECONDS / 2)


async def test_a_parked_call_is_resumed_and_answered_where_nothing_new_is_opened():
    backend = RecordingBackend(lambda exchange: exchange.emit(EventKind.ASK, b"{}") and None)
    async with leaver(backend) as (listener, address), dialled(address) as caller:
        attachment = caller.open(CALL, exchange_id(1))
        ask = await attachment.next()
        assert isinstance(ask, Event)
        attachment.detach()
        listener.leave()
        await until(lambda: caller.leaving)

        resumed = caller.resume(exchange_id(1), ask.seq, [(ask.seq, b'{"action":"accept"}')])
        await until(lambda: bool(backend.answers))
        parting = asyncio.create_task(listener.parted())
        await asyncio.sleep(0)
        assert not parting.done()
        backend.exchanges[0].finish(reply("done"))

        assert await resumed.next() == reply("done")
        assert backend.answers == [(ask.seq, b'{"action":"accept"}')]
        await asyncio.wait_for(parting, WAIT_SECONDS / 2)
