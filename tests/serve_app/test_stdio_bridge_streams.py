"""The standard streams of the bridge, over pipes and files."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.stdio.streams import Input, Output
from tests.support.processes import eventually
from tests.support.recorder import LIMIT


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


async def everything(source: Input) -> bytes:
    data = b""
    async with asyncio.timeout(LIMIT):
        while chunk := await source.chunk():
            data += chunk
    return data


def reading(fd: int) -> asyncio.Task[bytes]:
    source = Input(fd)
    source.start()
    return asyncio.create_task(everything(source))


async def test_a_pipe_is_read_to_its_end(pipe: tuple[int, int]) -> None:
    source = Input(pipe[0])
    source.start()

    os.write(pipe[1], b"one")
    first = await source.chunk()
    os.write(pipe[1], b"two")
    os.close(pipe[1])

    assert first == b"one"
    assert await everything(source) == b"two"


async def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    (tmp_path / "input").write_bytes(data)
    with (tmp_path / "input").open("rb") as file:
        source = Input(file.fileno())
        source.start()

        assert await everything(source) == data


async def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[0], False)
    source = Input(pipe[0])
    source.start()
    waiting = asyncio.create_task(source.chunk())
    await asyncio.sleep(0)

    os.write(pipe[1], b"late")

    async with asyncio.timeout(LIMIT):
        assert await waiting == b"late"
    os.close(pipe[1])
    assert await everything(source) == b""


async def test_messages_are_lines_in_the_order_in_which_they_were_written(pipe: tuple[int, int]) -> None:
    out = Output(pipe[1])
    out.start()

    await asyncio.gather(*(out.write(b'{"n":%d,\r\n "x":"\\n"}' % number) for number in range(100)))
    await asyncio.wait_for(out.flush(), LIMIT)

    assert os.read(pipe[0], 65536) == b"".join(b'{"n":%d,   "x":"\\n"}\n' % number for number in range(100))


async def test_whoever_writes_waits_for_a_slow_reader_and_loses_nothing(pipe: tuple[int, int]) -> None:
    out = Output(pipe[1], max_unwritten=100_000)
    out.start()
    writes = [asyncio.create_task(out.write(b"x" * 99_999)) for _ in range(20)]
    await asyncio.wait(writes, timeout=0.2)

    waiting = sum(not write.done() for write in writes)
    read = reading(pipe[0])
    await asyncio.wait_for(asyncio.gather(*writes), LIMIT)
    await asyncio.wait_for(out.flush(), LIMIT)
    os.close(pipe[1])

    assert waiting >= 16
    assert await read == (b"x" * 99_999 + b"\n") * 20


async def test_what_is_cancelled_while_it_waits_is_not_written(pipe: tuple[int, int]) -> None:
    out = Output(pipe[1], max_unwritten=100_000)
    out.start()
    first = [asyncio.create_task(out.write(b"a" * 199_999)) for _ in range(2)]
    await asyncio.wait(first, timeout=0.05)
    cancelled = asyncio.create_task(out.write(b"b"))
    await asyncio.sleep(0)

    cancelled.cancel()
    read = reading(pipe[0])
    await asyncio.wait_for(asyncio.gather(*first), LIMIT)
    await asyncio.wait_for(out.flush(), LIMIT)
    os.close(pipe[1])

    assert b"b" not in await read


async def test_what_is_offered_without_room_is_dropped(pipe: tuple[int, int]) -> None:
    out = Output(pipe[1], max_unwritten=100_000)
    out.start()

    for _ in range(100):
        out.offer(b"x" * 100_000)
    read = reading(pipe[0])
    await asyncio.wait_for(out.flush(), LIMIT)
    os.close(pipe[1])

    assert len(await read) == 100_000


async def test_a_reader_that_went_away_is_noticed_and_nobody_waits_for_it(pipe: tuple[int, int]) -> None:
    out = Output(pipe[1], max_unwritten=10)
    out.start()
    os.close(pipe[0])

    await out.write(b"to nobody at all")
    await eventually(out.lost.is_set)

    await asyncio.wait_for(out.write(b"more"), LIMIT)
    await asyncio.wait_for(out.flush(), LIMIT)
