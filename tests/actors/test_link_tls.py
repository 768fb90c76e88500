"""Links between nodes: TLS with a certificate at both ends, before a byte of the bus. Strangers get nothing."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog
import uvloop

from actors.bus.address import parse
from actors.bus.attachment import LinkLost
from actors.bus.dialer import CallerLink, LinkRefused, dial
from actors.bus.entrance import MAX_ENTERING
from actors.bus.exchange import ExchangeSettings
from actors.bus.frames import PROTOCOL_VERSION, Hello, encode
from actors.bus.handshake import NONCE_BYTES, CallerHandshake
from actors.bus.keychain import Keychain
from actors.bus.link import LinkSettings
from actors.bus.listener import Listener
from actors.core.link_keys import LinkKey, LinkKeys
from tests.support.bus import (
    CALL,
    KEYS,
    LINK_KEY,
    WAIT_SECONDS,
    RecordingBackend,
    dialled,
    exchange_id,
    link_key,
    listening,
    reply,
    until,
)
from tests.support.bus_peers import Stranger

HELLO = encode(Hello(PROTOCOL_VERSION, b"n" * NONCE_BYTES))
TCP = "tcp:127.0.0.1:0"

ONE, TWO, THREE = (link_key(number) for number in (1, 2, 3))
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def ring(*keys: LinkKey) -> Keychain:
    return Keychain(LinkKeys(keys))


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def run(loops: Callable[[], asyncio.AbstractEventLoop], story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(story)


def guest(tmp_path: Path, shown: LinkKey | None, trusted: LinkKey = LINK_KEY) -> ssl.SSLContext:
    """A client of its own making, which shows the certificate of a key, if any, and trusts that of another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=trusted.authority)
    if shown is not None:
        file = tmp_path / "shown.pem"
        file.write_text(shown.certificate + shown.private_key)
        context.load_cert_chain(file, password=shown.password)
    return context


async def stranger_at(address: str, context: ssl.SSLContext, name: str) -> Stranger:
    loop = asyncio.get_running_loop()
    _, stranger = await loop.create_connection(
        Stranger, "127.0.0.1", port_of(address), ssl=context, server_hostname=name
    )
    return stranger


def finishing() -> RecordingBackend:
    return RecordingBackend(lambda exchange: exchange.finish(reply("done")))


@pytest.mark.parametrize("loops", LOOPS)
def test_a_link_between_nodes_carries_calls_of_every_size(loops: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def story() -> None:
        backend = RecordingBackend(lambda exchange: exchange.finish(reply("x" * 3_000_000)))
        async with listening(backend, address=TCP) as address, dialled(address) as caller:
            outcomes = await asyncio.gather(*(caller.open(CALL, exchange_id(n)).next() for n in range(10)))

        assert outcomes == [reply("x" * 3_000_000)] * 10

    run(loops, story())


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", HELLO, b"\x16\x03\x01\x00\x04garb", b"\0" * 4096, b""]
)
def test_plain_bytes_are_closed_and_hear_no_word_of_the_bus(
    loops: Callable[[], asyncio.AbstractEventLoop], data: bytes
) -> None:
    async def story() -> None:
        backend = RecordingBackend()
        quick = LinkSettings(handshake_seconds=0.3)
        async with listening(backend, address=TCP, link=quick) as address:
            loop = asyncio.get_running_loop()
            _, stranger = await loop.create_connection(Stranger, "127.0.0.1", port_of(address))
            stranger.transport.write(data)
            await asyncio.wait_for(stranger.gone, WAIT_SECONDS)

        assert len(stranger.received) <= 7, "an alert of TLS, at the most"

    run(loops, story())


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("shown", [None, link_key()], ids=["no certificate", "one of another gateway"])
def test_a_stranger_without_a_certificate_of_the_gateway_is_closed_before_it_hears_a_byte(
    loops: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path, shown: LinkKey | None
) -> None:
    async def story() -> None:
        backend = finishing()
        listener = Listener(KEYS, backend, backend="git")
        address = await listener.start(TCP)
        with structlog.testing.capture_logs() as lines:
            try:
                stranger = await stranger_at(address, guest(tmp_path, shown), LINK_KEY.name)
                stranger.transport.write(HELLO)
                await asyncio.wait_for(stranger.gone, WAIT_SECONDS)
                assert stranger.received == b""
            except OSError:
                pass  # TLS had ended before this end was through with it
            await until(lambda: listener.refused == (1, 0, 0, 0))
        await listener.close()

        (line,) = [line for line in lines if line["event"] == "links_refused"]
        assert line["reason"].startswith("TLS: ")
        assert line["count"] == 1

    run(loops, story())


async def test_who_names_no_key_or_an_unknown_one_is_closed(tmp_path: Path) -> None:
    async with listening(finishing(), address=TCP) as address:
        for name in (link_key(9).name, "localhost", ""):
            context = guest(tmp_path, LINK_KEY)
            context.check_hostname = False
            with pytest.raises(OSError):  # noqa: PT011, which one is the system's affair
                await stranger_at(address, context, name)


async def test_the_certificate_of_one_key_is_worth_nothing_at_the_name_of_another(tmp_path: Path) -> None:
    listener = Listener(ring(TWO, ONE), finishing(), backend="git")
    address = await listener.start(TCP)
    context = guest(tmp_path, ONE, trusted=TWO)

    stranger = await stranger_at(address, context, TWO.name)
    stranger.transport.write(HELLO)
    await asyncio.wait_for(stranger.gone, WAIT_SECONDS)

    assert stranger.received == b""
    await listener.close()


async def test_a_good_certificate_and_a_wrong_secret_get_nothing() -> None:
    async with listening(finishing(), address=TCP) as address:
        handshake = CallerHandshake(b"wrong" * 8, b"n" * NONCE_BYTES)
        thief = CallerLink("git", handshake, LinkSettings(), lambda _: None)
        await parse(address).connect(lambda: thief.link, KEYS.calling(LINK_KEY))

        with pytest.raises(LinkRefused, match=r"^the peer closed the connection$"):
            await thief.established()


async def test_a_caller_gives_nothing_away_to_a_listener_of_another_gateway() -> None:
    listener = Listener(ring(link_key()), finishing(), backend="git")
    address = await listener.start(TCP)

    with pytest.raises(LinkRefused, match="CERTIFICATE_VERIFY_FAILED"):
        await dial(address, KEYS, backend="git")

    await listener.close()


async def test_an_older_tls_is_refused(tmp_path: Path) -> None:
    context = guest(tmp_path, LINK_KEY)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with listening(finishing(), address=TCP) as address:
        with pytest.raises(OSError):  # noqa: PT011, an alert or a close
            await stranger_at(address, context, LINK_KEY.name)


@pytest.mark.parametrize("loops", LOOPS)
def test_strangers_who_are_slow_or_many_hold_no_more_than_their_places_and_leave_nothing_behind(
    loops: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def story() -> None:
        quick = LinkSettings(handshake_seconds=0.5)
        own = psutil.Process()
        async with (
            listening(finishing(), address=TCP, link=quick) as address,
            dialled(address, link=quick) as caller,
        ):
            before = own.num_fds()
            crowd = [socket.create_connection(("127.0.0.1", port_of(address))) for _ in range(2 * MAX_ENTERING)]
            assert await caller.open(CALL, exchange_id(1)).next() == reply("done")
            for each in crowd:
                each.settimeout(0)
            await until(lambda: all(_is_closed(each) for each in crowd))
            for each in crowd:
                each.close()
            await until(lambda: own.num_fds() <= before)

            async with dialled(address, link=quick) as another:
                assert await another.open(CALL, exchange_id(2)).next() == reply("done")

    run(loops, story())


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


# --- several keys ---


@pytest.mark.parametrize("address", [TCP, None], ids=["tcp", "unix"])
@pytest.mark.parametrize(
    ("dials", "accepts", "number"),
    [
        ((ONE,), (TWO, ONE), 1),
        ((TWO, ONE), (TWO, ONE), 2),
        ((TWO, ONE), (ONE,), 1),
        ((THREE, TWO, ONE), (TWO, ONE), 2),
    ],
)
async def test_a_link_is_opened_with_the_newest_key_that_both_ends_know(
    address: str | None, dials: tuple[LinkKey, ...], accepts: tuple[LinkKey, ...], number: int
) -> None:
    async with (
        listening(finishing(), address=address, keys=ring(*accepts)) as there,
        dialled(there, keys=ring(*dials)) as caller,
    ):
        assert caller.key_number == number
        assert await caller.open(CALL, exchange_id(1)).next() == reply("done")


@pytest.mark.parametrize("address", [TCP, None], ids=["tcp", "unix"])
async def test_a_key_that_has_left_the_ring_opens_nothing(address: str | None) -> None:
    four = link_key(4)
    async with listening(finishing(), address=address, keys=ring(four, THREE, TWO)) as there:
        with pytest.raises(LinkRefused):
            await dial(there, ring(ONE), backend="git")


@pytest.mark.parametrize("address", [TCP, None], ids=["tcp", "unix"])
async def test_a_listener_takes_a_key_that_it_learns_later_and_keeps_the_links_that_are_open(
    address: str | None,
) -> None:
    keys = ring(ONE)
    async with (
        listening(finishing(), address=address, keys=keys) as there,
        dialled(there, keys=ring(ONE)) as older,
    ):
        keys.adopt(LinkKeys((TWO, ONE)))
        async with dialled(there, keys=ring(TWO)) as newer:
            assert (older.key_number, newer.key_number) == (1, 2)
            assert await older.open(CALL, exchange_id(1)).next() == reply("done")
            assert await newer.open(CALL, exchange_id(2)).next() == reply("done")


async def test_a_link_whose_key_has_left_the_ring_is_closed_and_its_exchange_is_read_on_over_another() -> None:
    backend, keys, three = RecordingBackend(), ring(ONE), LinkKeys((THREE, TWO))
    settings = ExchangeSettings(keep_seconds=0.1)
    async with (
        listening(backend, address=TCP, keys=keys, exchanges=settings) as there,
        dialled(there, keys=ring(ONE)) as older,
    ):
        attachment = older.open(CALL, exchange_id(1))
        await until(lambda: bool(backend.exchanges))
        keys.adopt(three.with_next(link_key(4)))
        end = await attachment.next()

        async with dialled(there, keys=Keychain(three)) as newer:
            again = newer.attach(exchange_id(1), after=0)
            backend.exchanges[0].finish(reply("done"))
            assert isinstance(end, LinkLost)
            assert await again.next() == reply("done")


def test_an_older_ring_is_not_adopted() -> None:
    keys = ring(TWO, ONE)

    keys.adopt(LinkKeys((ONE,)))

    assert keys.keys == LinkKeys((TWO, ONE))


def test_two_keys_have_nothing_in_common_but_their_number() -> None:
    made = [link_key(1) for _ in range(2)]

    for part in ("secret", "authority", "certificate", "private_key"):
        assert getattr(made[0], part) != getattr(made[1], part)


def test_the_private_key_is_encrypted_in_what_is_sent_and_written() -> None:
    assert "BEGIN ENCRYPTED PRIVATE KEY" in LINK_KEY.private_key
