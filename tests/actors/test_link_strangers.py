"""Strangers in numbers, and slow ones: they get nothing, and links go on."""

import asyncio

from actors.bus.frames import PROTOCOL_VERSION, Hello, encode
from actors.bus.handshake import NONCE_BYTES
from actors.bus.link import LinkSettings
from actors.bus.listener import MAX_STRANGERS
from tests.support.bus import CALL, WAIT_SECONDS, RecordingBackend, dialled, exchange_id, listening, reply
from tests.support.bus_peers import Stranger, connect_stranger

HELLO = encode(Hello(PROTOCOL_VERSION, b"n" * NONCE_BYTES))
IN_ALL = 1000


async def test_a_stranger_who_drips_a_greeting_gets_no_more_time_than_a_silent_one() -> None:
    async with listening(RecordingBackend(), link=LinkSettings(handshake_seconds=0.3)) as address:
        stranger = await connect_stranger(address)
        dripped = 0
        async with asyncio.timeout(WAIT_SECONDS):
            while not stranger.gone.done():
                stranger.transport.write(HELLO[dripped : dripped + 1])
                dripped += 1
                await asyncio.wait([stranger.gone], timeout=0.05)

    assert 1 < dripped < len(HELLO)
    assert stranger.received == b""


async def test_half_a_handshake_is_ended_by_the_same_limit() -> None:
    async with listening(RecordingBackend(), link=LinkSettings(handshake_seconds=0.2)) as address:
        stranger = await connect_stranger(address)
        stranger.transport.write(HELLO)

        await asyncio.wait_for(stranger.gone, WAIT_SECONDS)

    assert stranger.received, "it was challenged"


async def test_a_thousand_strangers_hold_no_more_than_their_places_and_a_link_goes_on() -> None:
    backend = RecordingBackend(lambda exchange: exchange.finish(reply("done")))
    async with listening(backend) as address, dialled(address) as caller:
        strangers: list[Stranger] = []
        for _ in range(IN_ALL // 50):
            strangers += await asyncio.gather(*(connect_stranger(address) for _ in range(50)))
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.gather(*(stranger.gone for stranger in strangers[MAX_STRANGERS:]))

        assert not any(stranger.gone.done() for stranger in strangers[:MAX_STRANGERS])
        assert await caller.open(CALL, exchange_id(1)).next() == reply("done")
        for stranger in strangers[:MAX_STRANGERS]:
            stranger.transport.abort()
