"""What one link costs: 600 bytes there and back, caller and backend in processes of their own.

Over a unix socket, over TCP on the loopback with TLS as between nodes, and over TCP without it, which the gateway never
does: to see what TLS costs.

python -m load.bench_bus [seconds] [rounds]
"""

import asyncio
import logging
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import structlog
import uvloop

from actors.bus.dialer import CallerLink, dial
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.exchanges import Exchanges
from actors.bus.handshake import NONCE_BYTES, CallerHandshake, ListenerHandshake
from actors.bus.keychain import Keychain
from actors.bus.link import LinkSettings
from actors.bus.listener import Listener
from actors.bus.mint import new_link_key
from actors.bus.served_link import ServedLink
from actors.core.call import Call
from actors.core.link_keys import LinkKeys
from actors.core.load import Load
from actors.core.outcome import Reply
from actors.core.revisions import Era

PAYLOAD = b'{"text":"' + b"x" * 589 + b'"}'
CALL = Call("tools/call", PAYLOAD, 60.0, "echo")
CONCURRENT = 64
HOST = "127.0.0.1"
WAYS = ("unix", "tcp", "tls")


@dataclass(frozen=True)
class Figures:
    """Of one round over one link."""

    p50: float
    """Seconds of one call, one at a time."""
    alone: float
    """Calls a second, one at a time."""
    together: float
    """The same, so many at once."""
    caller: float
    """Seconds of CPU for one call, of those at once."""
    backend: float
    """The same, of the other process."""


class Echo:
    """Answers every call with its own parameters."""

    def opened(self, exchange: Exchange) -> None:
        exchange.finish(Reply(exchange.call.params, Era.MODERN))

    def cancelled_origin(self, origin: bytes) -> None:
        """Nothing is ever in flight when a cancellation arrives."""

    def load(self) -> Load:
        return Load()


def hush() -> None:
    """Links that come and go are no news here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def nobody(*_: object) -> None:
    """Nobody wants to know that a link came or was lost."""


def serve(folder: str, ring: LinkKeys, pipe: Connection) -> None:
    """Listen in all ways, say where, and tell one's CPU time whenever asked, until `stop`."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = Listener(Keychain(ring), Echo(), backend="echo")
        exchanges = Exchanges("echo", ExchangeSettings(), max_data_bytes=2**20, clock=loop.time)
        secrets = {key.number: key.secret for key in ring.keys}

        def accept() -> asyncio.Protocol:
            handshake = ListenerHandshake(secrets, os.urandom(NONCE_BYTES))
            return ServedLink("echo", exchanges, Echo(), handshake, LinkSettings(), nobody, nobody).link

        bare = await loop.create_server(accept, HOST, 0)
        tls = await listener.start(f"tcp:{HOST}:0")
        pipe.send(
            {"unix": await listener.start(f"unix:{folder}/bus"), "tls": tls, "tcp": bare.sockets[0].getsockname()}
        )
        while await loop.run_in_executor(None, pipe.recv) != "stop":
            exchanges.expire()
            pipe.send(time.process_time())
        bare.close()
        await listener.close()

    hush()
    uvloop.run(main())


async def opened(way: str, address: object, ring: LinkKeys) -> CallerLink:
    if way != "tcp":
        return await dial(str(address), Keychain(ring), backend="echo")
    assert isinstance(address, tuple)
    handshake = CallerHandshake(ring.keys[0].secret, os.urandom(NONCE_BYTES))
    link = CallerLink("echo", handshake, LinkSettings(), nobody)
    await asyncio.get_running_loop().create_connection(lambda: link.link, *address)
    await link.established()
    return link


async def exchange_once(link: CallerLink, exchange_id: bytes) -> None:
    outcome = await link.open(CALL, exchange_id).next()
    assert outcome == Reply(PAYLOAD, Era.MODERN), outcome


async def sequential(link: CallerLink, seconds: float) -> list[float]:
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        await exchange_once(link, os.urandom(16))
        latencies.append(time.perf_counter() - start)
    return latencies


def cpu_of(pipe: Connection) -> float:
    pipe.send("cpu")
    seconds = pipe.recv()
    assert isinstance(seconds, float)
    return seconds


async def measure(way: str, address: object, ring: LinkKeys, seconds: float, pipe: Connection) -> Figures:
    link = await opened(way, address, ring)
    latencies = await sequential(link, seconds)

    theirs, ours = cpu_of(pipe), time.process_time()
    many = await asyncio.gather(*(sequential(link, seconds) for _ in range(CONCURRENT)))
    ours = time.process_time() - ours
    theirs = cpu_of(pipe) - theirs
    total = sum(map(len, many))
    link.close()
    return Figures(
        statistics.median(latencies), len(latencies) / seconds, total / seconds, ours / total, theirs / total
    )


async def run(addresses: dict[str, object], ring: LinkKeys, seconds: float, rounds: int, pipe: Connection) -> None:
    """Rounds go through the ways in turns, in the other order every time."""
    figures: defaultdict[str, list[Figures]] = defaultdict(list)
    for number in range(rounds):
        for way in WAYS if number % 2 == 0 else reversed(WAYS):
            figures[way].append(await measure(way, addresses[way], ring, seconds, pipe))
    print(f"{'':6}{'p50, ms':>10}{'alone/s':>10}{f'{CONCURRENT} at once/s':>16}{'caller, us':>12}{'backend, us':>13}")
    rate: dict[str, float] = {}
    for way in WAYS:
        found = figures[way]
        rate[way] = statistics.median(each.together for each in found)
        print(
            f"{way:6}"
            f"{statistics.median(each.p50 for each in found) * 1e3:10.3f}"
            f"{statistics.median(each.alone for each in found):10,.0f}"
            f"{rate[way]:16,.0f}"
            f"{statistics.median(each.caller for each in found) * 1e6:12.1f}"
            f"{statistics.median(each.backend for each in found) * 1e6:13.1f}"
        )
    print(f"TLS carries {rate['tls'] / rate['tcp']:.2f} of the calls that TCP carries without it")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    hush()
    ring = LinkKeys((new_link_key(1, 0.0, datetime.now(UTC)),))
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        backend = context.Process(target=serve, args=(str(Path(folder)), ring, theirs))
        backend.start()
        uvloop.run(run(ours.recv(), ring, seconds, rounds, ours))
        ours.send("stop")
        backend.join(10)


if __name__ == "__main__":
    main()
