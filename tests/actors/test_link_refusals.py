"""Who is no ingress replica of this gateway is refused, and counted by what was wrong, down to the metrics."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from actors.bus.dialer import CallerLink, LinkRefused
from actors.bus.frames import PROTOCOL_VERSION, Hello, encode
from actors.bus.handshake import NONCE_BYTES, CallerHandshake
from actors.bus.link import LinkSettings
from actors.bus.listener import MAX_STRANGERS, Listener
from actors.core.incident import Incident
from actors.core.link_refusal import REFUSALS, LinkRefusal
from actors.core.tally import BackendFacts, Report, Tally
from actors.metrics import Metrics
from tests.support.backends import backend_to
from tests.support.bus import KEYS, WAIT_SECONDS, RecordingBackend, until
from tests.support.bus_peers import connect_stranger
from tests.support.upstreams import TableServer

WRONG_VERSION = encode(Hello(PROTOCOL_VERSION + 1, b"n" * NONCE_BYTES))


def counted(listener: Listener) -> dict[LinkRefusal, int]:
    """What it has refused, without what it has not."""
    return {why: count for why, count in zip(REFUSALS, listener.refused, strict=True) if count}


async def come_with_a_wrong_secret(address: str) -> None:
    thief = CallerLink("git", CallerHandshake(b"wrong" * 8, b"n" * NONCE_BYTES), LinkSettings(), lambda _: None)
    await asyncio.get_running_loop().create_unix_connection(lambda: thief.link, address.removeprefix("unix:"))
    with pytest.raises(LinkRefused):
        await thief.established()


async def write(address: str, said: bytes) -> None:
    stranger = await connect_stranger(address)
    stranger.transport.write(said)
    if not said:
        stranger.transport.close()
    await asyncio.wait_for(stranger.gone, WAIT_SECONDS)


async def test_each_is_counted_by_what_was_wrong_and_the_log_has_a_line_for_all(tmp_path: Path) -> None:
    heard: list[LinkRefusal] = []
    listener = Listener(KEYS, RecordingBackend(), backend="git", on_refused=heard.append)
    address = await listener.start(f"unix:{tmp_path}/s")

    with capture_logs() as lines:
        await come_with_a_wrong_secret(address)
        for said in (WRONG_VERSION, b"GET / HTTP/1.1\r\n\r\n", b""):
            await write(address, said)
        await until(lambda: sum(listener.refused) == 4)
    waiting = [await connect_stranger(address) for _ in range(MAX_STRANGERS + 1)]
    await asyncio.wait_for(waiting[-1].gone, WAIT_SECONDS)
    found = counted(listener)
    await listener.close()

    assert found == {LinkRefusal.KEY: 1, LinkRefusal.HANDSHAKE: 3, LinkRefusal.CROWD: 1}
    assert heard == [LinkRefusal.KEY, *[LinkRefusal.HANDSHAKE] * 3, LinkRefusal.CROWD]
    assert [line["count"] for line in lines if line["event"] == "links_refused"] == [1]
    assert counted(listener) == found, "those who wait when it closes were not refused"


async def test_a_backend_tells_the_router_of_them() -> None:
    async with backend_to(TableServer({}), beat_seconds=0.05) as world:
        await come_with_a_wrong_secret(world.backend.status().address)

        await until(lambda: world.router.refused == (0, 1, 0, 0))


def test_the_metrics_show_those_of_backends_and_of_ingress_replicas() -> None:
    metrics = Metrics(version="1")
    tally = Tally()
    tally.note(Incident.LINK_REFUSED, "", LinkRefusal.HANDSHAKE.value)
    metrics.report(Report("a", 1, tally))
    metrics.observe([BackendFacts("git", 0, up=True, refused=(1, 2, 0, 0)), BackendFacts("git", 1, up=True)])

    page = metrics.render().decode()

    shown = [line for line in page.splitlines() if line.startswith("only1mcp_links_refused_total{")]
    assert len(shown) == 3 * len(REFUSALS)
    assert 'only1mcp_links_refused_total{backend="",reason="handshake",replica=""} 1.0' in shown
    assert 'only1mcp_links_refused_total{backend="git",reason="key",replica="0"} 2.0' in shown
    assert 'only1mcp_links_refused_total{backend="git",reason="key",replica="1"} 0.0' in shown
