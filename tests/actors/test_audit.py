"""The Audit, as a plain object: what it answers, when it syncs, whom it tells."""

import asyncio
import threading
from pathlib import Path

import pytest

from actors.audit import Audit
from actors.core.audit.batch import Batch, Receipt
from actors.core.audit_settings import Sync
from tests.support.audit import Disk, SinkDouble, batch, log_at, verdict
from tests.support.bus import until


class LogDouble:
    """Notes what is done, and fails or waits when a test says so."""

    def __init__(self) -> None:
        self.deeds: list[str] = []
        self.error: OSError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def append(self, batch: Batch) -> tuple[bytes, ...]:
        self.gate.wait(10.0)
        if self.error is not None:
            raise self.error
        self.deeds.append(f"append {batch.sequence}")
        return batch.events

    def sync(self) -> None:
        self.deeds.append("sync")

    def close(self) -> None:
        self.deeds.append("close")


async def test_a_batch_is_in_the_log_when_it_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(log_at(path))

    receipts = await asyncio.gather(*(audit.write(batch("a", source=str(number))) for number in range(20)))
    await audit.close()

    assert set(receipts) == {Receipt(True)}
    assert verdict(path).lines == 21  # type: ignore[union-attr]


async def test_a_disk_that_is_full_is_said_in_the_answer_and_so_is_that_there_is_room_again(tmp_path: Path) -> None:
    disk = Disk()
    audit = Audit(log_at(tmp_path / "audit.jsonl", opener=disk.open))
    disk.room = 0
    full = await audit.write(batch("a"))

    disk.room = None
    again = await audit.write(batch("a"))

    assert full == Receipt(False, "No space left on device")
    assert again == Receipt(True)


async def test_what_is_written_reaches_the_sinks_once_and_what_is_not_does_not() -> None:
    log, sink = LogDouble(), SinkDouble()
    audit = Audit(log, [sink])
    log.error = OSError(28, "No space left on device")
    await audit.write(batch("a"))
    log.error = None

    receipt = await audit.write(batch("b"))
    await audit.close()

    assert [b'"b"' in line for line in sink.lines] == [True]
    assert receipt.dropped == 3
    assert sink.closed


@pytest.mark.parametrize(
    ("sync", "deeds"),
    [(Sync.ALWAYS, ["append 1", "sync", "append 2", "sync"]), (Sync.NEVER, ["append 1", "append 2"])],
)
async def test_the_disk_is_forced_after_every_batch_or_never(sync: Sync, deeds: list[str]) -> None:
    log = LogDouble()
    audit = Audit(log, sync=sync)

    await audit.write(batch("a"))
    await audit.write(batch("a", sequence=2))

    assert log.deeds == deeds


async def test_the_disk_is_forced_every_second_if_there_is_anything_new() -> None:
    log = LogDouble()
    ticks = asyncio.Semaphore(0)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await ticks.acquire()

    audit = Audit(log, sync=Sync.INTERVAL, sleep=sleep)
    await audit.write(batch("a"))
    ticks.release()
    await until(lambda: log.deeds == ["append 1", "sync"] and len(slept) == 2)
    ticks.release()
    await until(lambda: len(slept) == 3)
    await audit.close()

    assert log.deeds == ["append 1", "sync", "sync", "close"]
    assert set(slept) == {1.0}


async def test_a_slow_disk_holds_up_writers_in_their_order_and_not_the_loop() -> None:
    log = LogDouble()
    audit = Audit(log, sync=Sync.NEVER)
    log.gate.clear()

    writing = [asyncio.create_task(audit.write(batch("a", sequence=number))) for number in (1, 2, 3)]
    for _ in range(20):
        await asyncio.sleep(0)
    nothing_yet = list(log.deeds)
    log.gate.set()
    await asyncio.gather(*writing)

    assert nothing_yet == []
    assert log.deeds == ["append 1", "append 2", "append 3"]
