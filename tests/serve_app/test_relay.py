"""The way of a message from the ingress replica that took it to the one that holds the stream."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.core.incident import Incident
from actors.core.tally import Tally
from serve_app.relay import Place, Relay, decode_place, encode_place
from tests.support.bus import KEYS, until
from tests.support.bus_peers import connect_stranger

CHANNEL = b"c" * 16
OTHER = b"o" * 16


class End:
    """One ingress replica's end of it, with the channels of some ids."""

    def __init__(self, folder: str, name: str, *, node: str = "here", channels: tuple[bytes, ...] = (), **limits: Any):
        self.taken: list[tuple[bytes, bytes]] = []
        self.asked = 0
        self.ready = asyncio.Event()
        self.ready.set()
        self._channels = channels
        self._address = f"unix:{Path(folder) / name}"
        self._remote = "tcp:127.0.0.1:0" if node != "here" else None
        self.relay = Relay(KEYS, node, self._addresses, self._take, **limits)

    def _addresses(self) -> tuple[str, str | None]:
        self.asked += 1
        return self._address, self._remote

    async def _take(self, channel: bytes, message: bytes) -> bool:
        if channel not in self._channels:
            return False
        await self.ready.wait()
        self.taken.append((channel, message))
        return True


@asynccontextmanager
async def ends(*plans: dict[str, Any]) -> AsyncIterator[list[End]]:
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        made = [End(folder, str(number), **plan) for number, plan in enumerate(plans)]
        try:
            yield made
        finally:
            await asyncio.gather(*(end.relay.close() for end in made))


def test_a_place_is_read_as_it_was_written() -> None:
    place = Place(CHANNEL, "here", "unix:/a", None)

    assert decode_place(encode_place(place)) == place


async def test_a_message_for_a_channel_of_this_process_takes_no_detour() -> None:
    async with ends({"channels": (CHANNEL,)}) as (end,):
        place = await end.relay.place(CHANNEL)

        assert await end.relay.deliver(place, b"m")
        assert not await end.relay.deliver(Place(OTHER, place.node, place.address, None), b"m")

    assert end.taken == [(CHANNEL, b"m")]
    assert end.relay.links == 0


async def test_a_stranger_who_comes_is_counted() -> None:
    tally = Tally()
    async with ends({"note": tally.note}) as (end,):
        place = await end.relay.place(CHANNEL)
        stranger = await connect_stranger(place.address)
        stranger.transport.write(b"GET / HTTP/1.1\r\n\r\n")

        await until(lambda: bool(tally))

    ((labels, times),) = tally.incidents.items()
    assert (labels.incident, labels.backend, labels.reason, times) == (Incident.LINK_REFUSED, "", "handshake", 1)


async def test_nothing_listens_before_the_first_stream_and_all_streams_share_one_address() -> None:
    async with ends({}) as (end,):
        assert end.asked == 0

        places = await asyncio.gather(*(end.relay.place(CHANNEL) for _ in range(5)))
        places.append(await end.relay.place(OTHER))

        assert end.asked == 1
        assert {place.address for place in places} == {places[0].address}


async def test_messages_reach_another_process_in_order_over_one_link() -> None:
    async with ends({"channels": (CHANNEL,)}, {}) as (holder, taker):
        place = await holder.relay.place(CHANNEL)

        for number in range(20):
            assert await taker.relay.deliver(place, b"%d" % number)

        assert taker.relay.links == 1
    assert holder.taken == [(CHANNEL, b"%d" % number) for number in range(20)]


async def test_those_who_need_the_same_link_at_once_dial_once() -> None:
    async with ends({"channels": (CHANNEL,)}, {}) as (holder, taker):
        place = await holder.relay.place(CHANNEL)

        delivered = await asyncio.gather(*(taker.relay.deliver(place, b"m") for _ in range(20)))

        assert (delivered, taker.relay.links) == ([True] * 20, 1)


async def test_another_node_is_reached_over_tcp_and_without_such_an_address_not_at_all() -> None:
    async with ends({"channels": (CHANNEL,), "node": "there"}, {}) as (holder, taker):
        place = await holder.relay.place(CHANNEL)
        assert place.remote_address is not None

        reached = await taker.relay.deliver(place, b"m")
        unreached = await taker.relay.deliver(Place(CHANNEL, "there", place.address, None), b"m")

    assert (reached, unreached) == (True, False)
    assert place.remote_address.startswith("tcp:127.0.0.1:")


async def test_a_channel_that_is_not_there_any_more_takes_nothing() -> None:
    async with ends({}, {}) as (holder, taker):
        place = await holder.relay.place(CHANNEL)

        assert not await taker.relay.deliver(place, b"m")


async def test_a_process_that_is_gone_takes_nothing_and_keeps_no_link() -> None:
    async with ends({"channels": (CHANNEL,)}, {}) as (holder, taker):
        place = await holder.relay.place(CHANNEL)
        assert await taker.relay.deliver(place, b"m")

        await holder.relay.close()
        await until(lambda: taker.relay.links == 0)

        assert not await taker.relay.deliver(place, b"m")
        assert taker.relay.links == 0


async def test_a_process_that_does_not_answer_in_time_is_not_waited_for() -> None:
    async with ends({"channels": (CHANNEL,)}, {"deliver_seconds": 0.05}) as (holder, taker):
        place = await holder.relay.place(CHANNEL)
        holder.ready.clear()

        assert not await taker.relay.deliver(place, b"m")
        holder.ready.set()


async def test_an_unused_link_is_closed_and_dialled_again_when_it_is_needed() -> None:
    async with ends({"channels": (CHANNEL,)}, {"idle_seconds": 0.05}) as (holder, taker):
        place = await holder.relay.place(CHANNEL)
        assert await taker.relay.deliver(place, b"1")

        await until(lambda: taker.relay.links == 0)

        assert await taker.relay.deliver(place, b"2")


async def test_a_link_that_nobody_waited_for_is_closed_too() -> None:
    async with ends({"channels": (CHANNEL,)}, {"idle_seconds": 0.05}) as (holder, taker):
        place = await holder.relay.place(CHANNEL)
        waiting = asyncio.create_task(taker.relay.deliver(place, b"m"))
        while not taker.relay.links:  # noqa: ASYNC110 - no longer, or the message is delivered
            await asyncio.sleep(0)

        waiting.cancel()
        await until(lambda: taker.relay.links == 0)

    assert waiting.cancelled()
    assert holder.taken == []


async def test_a_link_that_is_in_use_is_not_idle() -> None:
    async with ends({"channels": (CHANNEL,)}, {"idle_seconds": 0.02}) as (holder, taker):
        place = await holder.relay.place(CHANNEL)
        assert await taker.relay.deliver(place, b"1")
        holder.ready.clear()

        waiting = asyncio.create_task(taker.relay.deliver(place, b"2"))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        holder.ready.set()

        assert not done
        assert await waiting


async def test_of_too_many_links_the_one_longest_unused_is_closed() -> None:
    everywhere = {"channels": (CHANNEL,)}
    async with ends(everywhere, everywhere, everywhere, {"max_links": 2}) as (first, second, third, taker):
        places = [await end.relay.place(CHANNEL) for end in (first, second, third)]

        for place in (places[0], places[1], places[0], places[2]):
            assert await taker.relay.deliver(place, b"m")

        assert taker.relay.links == 2
        assert taker.relay._lines.keys() == {places[0].address, places[2].address}


async def test_a_place_to_listen_that_cannot_be_had_is_asked_for_again() -> None:
    async with ends({"channels": (CHANNEL,)}) as (end,):
        wanted, end._address = end._address, "unix:/nowhere/at/all"
        with pytest.raises(OSError, match=r"."):
            await end.relay.place(CHANNEL)

        end._address = wanted

        assert (await end.relay.place(CHANNEL)).address == wanted
