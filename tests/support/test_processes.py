"""The helpers around processes: they report, they end what they started, they never wait for ever."""

import os

import httpx
import pytest

from tests.support.processes import (
    descendants,
    eventually,
    free_port,
    listening,
)


def test_a_server_that_ends_instead_of_listening_is_reported_at_once() -> None:
    with pytest.raises(RuntimeError, match="ended with"), listening("tests.support.chaos_server", "--exit", "4"):
        pass


def test_a_server_that_does_not_listen_in_time_is_ended() -> None:
    before = descendants(os.getpid())

    with (
        pytest.raises(TimeoutError, match="did not listen"),
        listening("tests.support.chaos_server", "--start-delay", "60", seconds=0.2),
    ):
        pass

    assert descendants(os.getpid()) == before


def test_a_free_port_can_be_listened_on() -> None:
    with listening("tests.support.echo_server", "--http", str(free_port())) as server:
        assert httpx.post(server.url, content=b"{").status_code == 400


async def test_waiting_for_what_never_comes_ends() -> None:
    with pytest.raises(AssertionError, match="not within"):
        await eventually(lambda: False, 0.05)
