"""What strangers get, what silence means, and that a peer which misbehaves disturbs nobody else."""

import asyncio
import time

import pytest
import uvloop

from actors.bus import frames
from actors.bus.dialer import LinkRefused, dial
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.frames import PROTOCOL_VERSION, WINDOW, EventKind, FrameDecoder, Hello, Refuse, encode
from actors.bus.handshake import NONCE_BYTES
from actors.bus.keychain import Keychain
from actors.bus.link import MAX_STRANGER_BYTES, LinkSettings
from actors.bus.listener import MAX_STRANGERS, Listener
from actors.core.link_keys import LinkKeys
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind
from tests.support.bus import (
    CALL,
    KEYS,
    WAIT_SECONDS,
    RecordingBackend,
    dialled,
    exchange_id,
    link_key,
    linked,
    listening,
    reply,
    until,
)
from tests.support.bus_peers import DeafLink, bare_caller, bare_listener, connect_stranger, mute_server

HELLO = encode(Hello(PROTOCOL_VERSION, b"n" * NONCE_BYTES))
QUICK = LinkSettings(ping_seconds=0.1, silence_seconds=0.4)


def finish(exchange: Exchange) -> None:
    exchange.finish(reply("done"))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 16,
        b"\x00\x00\x00\x01\xff",
        b"\x00\x00\x01\x01",  # a frame of 257 bytes
        encode(frames.Ping()) * 200,  # more in one go than a handshake takes
    ],
)
async def test_a_stranger_who_writes_garbage_is_closed_at_once_without_a_byte(data):
    async with listening(RecordingBackend(), link=LinkSettings(handshake_seconds=3 * WAIT_SECONDS)) as address:
        stranger = await connect_stranger(address)

        stranger.transport.write(data)
        await asyncio.wait_for(stranger.gone, WAIT_SECONDS)

        assert stranger.received == b""


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (encode(Hello(99, b"n" * NONCE_BYTES)), f"this end speaks version {PROTOCOL_VERSION} of the bus, not 99"),
        (encode(frames.Ping()), "Ping is not what the handshake expects here"),
        (encode(frames.Open(1, exchange_id(1), CALL)), "Open is not what the handshake expects here"),
    ],
)
async def test_a_stranger_who_speaks_the_bus_is_told_why_it_is_refused(data, sentence):
    backend = RecordingBackend()
    async with listening(backend) as address:
        stranger = await connect_stranger(address)

        stranger.transport.write(data)
        await asyncio.wait_for(stranger.gone, WAIT_SECONDS)

        assert FrameDecoder(1000).feed(stranger.received) == [Refuse(sentence)]
        assert backend.exchanges == []


async def test_a_stranger_cannot_open_an_exchange_in_place_of_its_proof():
    backend = RecordingBackend()
    async with listening(backend) as address:
        stranger = await connect_stranger(address)

        stranger.transport.write(HELLO + encode(frames.Open(1, exchange_id(1), CALL)))
        await asyncio.wait_for(stranger.gone, WAIT_SECONDS)

        [challenge, refusal] = FrameDecoder(1000).feed(stranger.received)
        assert isinstance(challenge, frames.Challenge)
        assert isinstance(refusal, Refuse)
        assert backend.exchanges == []


async def test_a_stranger_may_send_a_few_hundred_bytes_in_all():
    async with listening(RecordingBackend()) as address:
        stranger = await connect_stranger(address)

        stranger.transport.write(HELLO)
        await until(lambda: bool(stranger.received))
        stranger.transport.write(b"\x00\x00\x00\xff" + b"\x00" * 254)  # one byte short of a frame within the limit
        stranger.transport.write(b"\x00" * MAX_STRANGER_BYTES)
        await asyncio.wait_for(stranger.gone, WAIT_SECONDS)

        assert len(FrameDecoder(1000).feed(stranger.received)) == 1


async def test_a_stranger_who_says_nothing_is_closed_after_a_while():
    async with listening(RecordingBackend(), link=LinkSettings(handshake_seconds=0.05)) as address:
        stranger = await connect_stranger(address)

        await asyncio.wait_for(stranger.gone, WAIT_SECONDS)

        assert stranger.received == b""


async def test_one_stranger_too_many_is_turned_away_and_links_go_on():
    async with listening(RecordingBackend(finish)) as address, dialled(address) as caller:
        strangers = [await connect_stranger(address) for _ in range(MAX_STRANGERS)]
        one_more = await connect_stranger(address)

        await asyncio.wait_for(one_more.gone, WAIT_SECONDS)

        assert not any(stranger.gone.done() for stranger in strangers)
        assert await caller.open(CALL, exchange_id(1)).next() == reply("done")
        for stranger in strangers:
            stranger.transport.abort()


async def test_a_caller_with_another_secret_is_closed_and_told_nothing():
    others = Keychain(LinkKeys((link_key(),)))
    async with listening(RecordingBackend()) as address:
        with pytest.raises(LinkRefused, match=r"^the peer closed the connection$"):
            await dial(address, others, backend="git")


async def test_a_process_without_keys_dials_nobody():
    async with listening(RecordingBackend()) as address:
        with pytest.raises(LinkRefused, match="no link key"):
            await dial(address, Keychain(), backend="git")


@pytest.mark.parametrize(
    ("address", "error"), [("unix:/nowhere/at/all", FileNotFoundError), ("tcp:127.0.0.1:1", ConnectionRefusedError)]
)
async def test_dialling_where_nobody_listens_is_an_os_error(address, error):
    with pytest.raises(error):
        await dial(address, KEYS, backend="git")


async def test_dialling_a_server_which_never_answers_is_given_up_in_time():
    async with mute_server() as address:
        with pytest.raises(TimeoutError, match=r"did not complete a handshake in 0\.1 s"):
            await dial(address, KEYS, backend="git", settings=LinkSettings(handshake_seconds=0.1))


async def test_dialling_can_be_cancelled():
    async with mute_server() as address:
        dialling = asyncio.create_task(dial(address, KEYS, backend="git"))
        await asyncio.sleep(0)
        dialling.cancel()

        with pytest.raises(asyncio.CancelledError):
            await dialling


async def test_a_peer_which_falls_silent_is_taken_for_dead_by_a_backend():
    async with listening(RecordingBackend(), link=QUICK) as address:
        peer = await bare_caller(address, DeafLink)
        assert peer.link.ready

        await until(lambda: bool(peer.lost))

        assert peer.lost == ["the peer closed the connection"]


async def test_a_peer_which_falls_silent_is_taken_for_dead_by_a_caller():
    reasons = []
    async with bare_listener(DeafLink) as (address, _), dialled(address, link=QUICK, on_closed=reasons.append):
        await until(lambda: bool(reasons))

        assert "the peer was silent for" in reasons[0]


async def test_an_idle_link_with_a_live_peer_stays():
    loop = asyncio.get_running_loop()
    async with linked(RecordingBackend(finish), link=QUICK) as caller:
        end = loop.time() + 3 * QUICK.silence_seconds
        await until(lambda: loop.time() > end)

        assert await caller.open(CALL, exchange_id(1)).next() == reply("done")


def test_a_process_which_stood_still_does_not_blame_its_peers():
    async def stand_still() -> object:
        async with linked(RecordingBackend(finish), link=QUICK) as caller:
            time.sleep(2 * QUICK.silence_seconds)  # noqa: ASYNC251, this is what the test is about
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return await caller.open(CALL, exchange_id(1)).next()

    assert uvloop.run(stand_still()) == reply("done")  # uvloop runs timers before it reads what has come meanwhile


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x00\x03abc",
        b"\xff\xff\xff\xff",
        encode(frames.Event(1, 1, EventKind.LOG, b"{}")),  # only a backend may send it
        encode(Hello(PROTOCOL_VERSION, b"n" * NONCE_BYTES)),
    ],
)
async def test_a_malformed_frame_closes_its_link_and_disturbs_no_other(data):
    async with listening(RecordingBackend(finish)) as address, dialled(address) as other:
        peer = await bare_caller(address)

        peer.link._transport.write(data)
        await until(lambda: bool(peer.lost))

        assert await other.open(CALL, exchange_id(1)).next() == reply("done")


async def test_numbers_which_nobody_knows_are_passed_over_by_a_backend():
    backend = RecordingBackend(finish)
    async with listening(backend) as address:
        peer = await bare_caller(address)
        for frame in (
            frames.Detach(5),
            frames.Grant(5, 10**9),
            frames.Cancel(5, "why"),
            frames.Answer(5, 1, b"{}"),
            frames.Open(6, exchange_id(1), CALL),
            frames.Open(6, exchange_id(2), CALL),  # a number in use
            frames.Attach(6, exchange_id(1), 0),
            frames.Detach(6),
            frames.Detach(6),
        ):
            peer.link.send(frame)

        peer.link.send(frames.Open(7, exchange_id(3), CALL))
        await until(lambda: len(peer.heard) == 2)

        assert peer.heard == [
            frames.OutcomeFrame(6, reply("done"), Load()),
            frames.OutcomeFrame(7, reply("done"), Load()),
        ]
        assert [exchange.id for exchange in backend.exchanges] == [exchange_id(1), exchange_id(3)]
        peer.link.close("the test is over")


async def test_numbers_which_nobody_knows_are_passed_over_by_a_caller():
    async with bare_listener() as (address, ends), dialled(address) as caller:
        attachment = caller.open(CALL, exchange_id(1))
        await until(lambda: bool(ends and ends[0].heard))
        ends[0].link.send(frames.Event(99, 1, EventKind.LOG, b"{}"))
        ends[0].link.send(frames.OutcomeFrame(99, reply("whose?"), Load(3)))
        ends[0].link.send(frames.OutcomeFrame(1, reply("done"), Load(4)))

        assert await attachment.next() == reply("done")
        assert caller.load == Load(4)


async def test_a_backend_which_sends_beyond_its_credit_loses_the_link():
    reasons = []
    async with bare_listener() as (address, ends), dialled(address, on_closed=reasons.append) as caller:
        caller.open(CALL, exchange_id(1))
        await until(lambda: bool(ends and ends[0].heard))
        for seq in range(1, WINDOW + 2):
            ends[0].link.send(frames.Event(1, seq, EventKind.LOG, b"{}"))

        await until(lambda: bool(reasons))

        assert reasons == ["the peer sent more than it had credit for"]


async def test_a_peer_which_stops_reading_cannot_make_its_writer_grow():
    reasons = []
    limits = LinkSettings(max_frame_bytes=10_000, high_water_bytes=1_000)
    async with bare_listener() as (address, ends), dialled(address, link=limits, on_closed=reasons.append) as caller:
        await until(lambda: bool(ends and ends[0].link.ready))
        ends[0].link._transport.pause_reading()

        async with asyncio.timeout(WAIT_SECONDS):
            while not caller.closed:
                caller.cancel_origin(b"x" * 9_000)
                await asyncio.sleep(0)

        assert reasons == ["the peer does not read"]


async def test_more_calls_than_a_backend_may_run_are_refused_as_busy():
    backend = RecordingBackend()
    async with listening(backend, exchanges=ExchangeSettings(max_running=2)) as address, dialled(address) as caller:
        attachments = [caller.open(CALL, exchange_id(number)) for number in range(3)]

        assert await attachments[2].next() == Failure(FailureKind.BUSY, "git")
        assert len(backend.exchanges) == 2


async def test_a_kept_outcome_is_forgotten_though_nothing_else_happens():
    backend = RecordingBackend()
    settings = ExchangeSettings(keep_seconds=0.05)
    async with listening(backend, exchanges=settings) as address, dialled(address) as caller:
        attachment = caller.open(CALL, exchange_id(1))
        await until(lambda: bool(backend.exchanges))
        while backend.exchanges[0].emit(EventKind.LOG, b"{}"):
            pass
        backend.exchanges[0].finish(reply("nobody reads so far"))
        await until(lambda: caller.in_flight == 0)

        for _ in range(WINDOW):
            assert isinstance(await attachment.next(), frames.Event)
        outcome = await attachment.next()

        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.DISCONNECTED


async def test_a_listener_which_closes_ends_its_links_and_no_exchange(tmp_path):
    backend, reasons = RecordingBackend(), []
    listener = Listener(KEYS, backend, backend="git")
    address = await listener.start(f"unix:{tmp_path / 's'}")
    async with dialled(address, on_closed=reasons.append) as caller:
        caller.open(CALL, exchange_id(1))
        await until(lambda: bool(backend.exchanges))

        await listener.close()
        await until(lambda: caller.closed)

        assert reasons == ["the peer closed the connection"]
        assert not backend.exchanges[0].done
        backend.exchanges[0].finish(reply("still possible"))
        with pytest.raises(FileNotFoundError):
            await dial(address, KEYS, backend="git")
