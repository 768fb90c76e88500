"""Addresses, and the socket files behind them."""

import os
import socket
import stat

import pytest

from actors.bus.address import TcpAddress, UnixAddress, parse
from actors.bus.listener import Listener
from tests.support.bus import CALL, KEYS, RecordingBackend, dialled, exchange_id, listening, reply


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/git.sock", UnixAddress("/run/git.sock")),
        ("tcp:127.0.0.1:80", TcpAddress("127.0.0.1", 80)),
        ("tcp:localhost:0", TcpAddress("localhost", 0)),
        ("tcp:[::1]:65535", TcpAddress("::1", 65535)),
    ],
)
def test_an_address_is_read_and_written(text, address):
    assert parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "unix:", "tcp:", "tcp:host", "tcp::80", "tcp:host:65536", "tcp:host:-1", "http:a:1"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="neither"):
        parse(text)


async def test_port_zero_becomes_the_port_which_was_chosen():
    async with listening(RecordingBackend(), address="tcp:127.0.0.1:0") as address:
        assert parse(address).port > 0


async def test_one_listener_serves_both_a_socket_file_and_a_port(tmp_path):
    listener = Listener(KEYS, RecordingBackend(lambda exchange: exchange.finish(reply("done"))), backend="git")
    addresses = [await listener.start(f"unix:{tmp_path / 's'}"), await listener.start("tcp:127.0.0.1:0")]

    for number, address in enumerate(addresses):
        async with dialled(address) as caller:
            assert await caller.open(CALL, exchange_id(number)).next() == reply("done")

    await listener.close()


async def test_a_socket_file_is_for_its_user_only_and_goes_with_its_listener(tmp_path):
    path = tmp_path / "s"
    async with listening(RecordingBackend(), address=f"unix:{path}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert not path.exists()


async def test_the_socket_file_of_a_dead_process_is_replaced(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))

    async with listening(RecordingBackend(), address=f"unix:{path}") as address, dialled(address) as caller:
        assert not caller.closed


async def test_the_socket_of_a_living_process_is_left_alone(tmp_path):
    address = f"unix:{tmp_path / 's'}"
    async with listening(RecordingBackend(), address=address):
        with pytest.raises(OSError, match="another process listens there"):
            await Listener(KEYS, RecordingBackend(), backend="git").start(address)

        async with dialled(address) as caller:
            assert not caller.closed


async def test_a_file_which_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")

    with pytest.raises(FileExistsError):
        await Listener(KEYS, RecordingBackend(), backend="git").start(f"unix:{path}")

    assert path.read_text() == "precious"


async def test_the_socket_file_of_a_successor_is_not_removed(tmp_path):
    path = tmp_path / "s"
    former = Listener(KEYS, RecordingBackend(), backend="git")
    await former.start(f"unix:{path}")
    path.unlink()
    async with listening(RecordingBackend(), address=f"unix:{path}") as address:
        await former.close()

        async with dialled(address) as caller:
            assert not caller.closed
