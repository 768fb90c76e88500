"""What one link costs: 600 bytes there and back over a unix socket, caller and backend in processes of their own.

python -m load.bench_bus [seconds]
"""

import asyncio
import multiprocessing
import os
import secrets
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from actors.bus.dialer import CallerLink, dial
from actors.bus.exchange import Exchange
from actors.bus.listener import Listener
from actors.core.call import Call
from actors.core.load import Load
from actors.core.outcome import Reply
from actors.core.revisions import Era

PAYLOAD = b'{"text":"' + b"x" * 589 + b'"}'
CALL = Call("tools/call", PAYLOAD, 60.0, "echo")
CONCURRENT = 64


class Echo:
    """Answers every call with its own parameters."""

    def opened(self, exchange: Exchange) -> None:
        exchange.finish(Reply(exchange.call.params, Era.MODERN))

    def cancelled_origin(self, origin: bytes) -> None:
        """Nothing is ever in flight when a cancellation arrives."""

    def load(self) -> Load:
        return Load()


def serve(address: str, secret: bytes, pipe: Connection) -> None:
    async def main() -> None:
        listener = Listener(secret, Echo(), backend="echo")
        await listener.start(address)
        pipe.send("ready")
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        await listener.close()

    uvloop.run(main())
    pipe.send(time.process_time())


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


async def measure(address: str, secret: bytes, seconds: float) -> int:
    link = await dial(address, secret, backend="echo")

    cpu = time.process_time()
    latencies = await sequential(link, seconds)
    cpu = time.process_time() - cpu
    print(
        f"sequential       p50 {statistics.median(latencies) * 1e3:.3f} ms, {len(latencies) / seconds:,.0f}/s,"
        f" caller {cpu / len(latencies) * 1e3:.3f} ms CPU each"
    )

    cpu = time.process_time()
    many = await asyncio.gather(*(sequential(link, seconds) for _ in range(CONCURRENT)))
    cpu = time.process_time() - cpu
    total = sum(map(len, many))
    print(f"{CONCURRENT} concurrent    {total / seconds:,.0f}/s, caller {cpu / total * 1e3:.3f} ms CPU each")
    link.close()
    return len(latencies) + total


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    secret = secrets.token_bytes(32)
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix:{Path(folder) / 'bus'}"
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        backend = context.Process(target=serve, args=(address, secret, theirs))
        backend.start()
        ours.recv()
        total = uvloop.run(measure(address, secret, seconds))
        ours.send("stop")
        print(f"backend          {ours.recv() / total * 1e3:.3f} ms CPU each, its start included")
        backend.join(10)


if __name__ == "__main__":
    main()
