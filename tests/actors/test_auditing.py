"""Events on their way to the Audit: none is written twice, what is lost is counted, and nobody waits."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.auditing import MAX_BATCH, MAX_DENIALS, UNREACHABLE_SECONDS, Auditing
from actors.core.audit.event import Kind
from actors.core.audit_settings import AuditSettings, OnFailure
from actors.core.tally import AuditCounts
from tests.support.audit import NOW, WriterDouble, event
from tests.support.bus import until
from tests.support.hand_clock import HandClock


def auditing_to(writer: WriterDouble, clock: HandClock | None = None, **settings: Any) -> Auditing:
    return Auditing("ingress:1", lambda: writer, AuditSettings(**settings), clock or HandClock(), lambda: NOW)


def read(events: list[bytes]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(each) for each in events]


async def test_what_is_noted_is_sent_in_order_in_batches_of_a_bounded_size() -> None:
    writer = WriterDouble()
    auditing = auditing_to(writer)
    for number in range(MAX_BATCH + 1):
        auditing.note(event(str(number)))

    await auditing.drain()

    assert [each["name"] for each in read(writer.events)] == [str(number) for number in range(MAX_BATCH + 1)]
    assert [len(batch.events) for batch in writer.batches.values()] == [MAX_BATCH, 1]
    assert auditing.counts == AuditCounts(written=MAX_BATCH + 1)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["well", "away", "full", "silent"])), max_size=15))
def test_every_event_is_written_exactly_once_however_the_audit_comes_and_goes(rounds: list[tuple[int, str]]) -> None:
    writer = WriterDouble()
    auditing = auditing_to(writer)
    noted = 0

    async def work() -> None:
        nonlocal noted
        for count, state in (*rounds, (0, "well")):
            writer.away, writer.full, writer.forgets_to_answer = state == "away", state == "full", state == "silent"
            for _ in range(count):
                auditing.note(event(str(noted)))
                noted += 1
            await auditing.send()
        await auditing.drain()

    asyncio.run(work())

    assert [each["name"] for each in read(writer.events)] == [str(number) for number in range(noted)]
    assert auditing.counts == AuditCounts(written=noted)


async def test_what_finds_no_room_is_counted_and_told_in_the_log_once_it_can_be_written_again() -> None:
    writer = WriterDouble()
    writer.away = True
    auditing = auditing_to(writer, buffer=3)
    for number in range(5):
        auditing.note(event(str(number)))
    await auditing.send()
    lost = auditing.counts

    writer.away = False
    await auditing.drain()

    assert lost == AuditCounts(lost=2, waiting=4)  # the event that tells of the loss is one of them
    assert [(each["kind"], each.get("count")) for each in read(writer.events)][3:] == [("loss", 2)]
    assert not auditing.refusing


async def test_a_log_that_cannot_be_written_has_calls_refused_if_that_is_wanted_until_it_can() -> None:
    writer = WriterDouble()
    auditing = auditing_to(writer, on_failure=OnFailure.REFUSE)
    auditing.note(event())
    before = auditing.refusing

    writer.full = True
    await auditing.send()
    full = auditing.refusing
    writer.full = False
    await auditing.send()

    assert (before, full, auditing.refusing) == (False, True, False)


async def test_an_audit_that_is_away_has_calls_refused_after_a_while_only() -> None:
    writer, clock = WriterDouble(), HandClock()
    writer.away = True
    auditing = auditing_to(writer, clock, on_failure=OnFailure.REFUSE)
    auditing.note(event())
    await auditing.send()
    at_once = auditing.refusing

    clock.advance(UNREACHABLE_SECONDS)
    await auditing.send()
    later = auditing.refusing
    writer.away = False
    await auditing.send()

    assert (at_once, later, auditing.refusing) == (False, True, False)


async def test_a_full_buffer_has_calls_refused_and_those_that_run_still_find_room() -> None:
    writer = WriterDouble()
    auditing = auditing_to(writer, buffer=2, on_failure=OnFailure.REFUSE)

    for _ in range(4):
        auditing.note(event())

    assert auditing.refusing
    assert auditing.counts == AuditCounts(waiting=4)
    await auditing.drain()
    assert not auditing.refusing


@pytest.mark.parametrize("on_failure", list(OnFailure))
async def test_an_audit_that_never_answers_delays_no_note_and_the_buffer_is_bounded(on_failure: OnFailure) -> None:
    asked = asyncio.Event()

    class Stuck(WriterDouble):
        async def write(self, batch: Any) -> Any:
            asked.set()
            await asyncio.Event().wait()

    auditing = auditing_to(Stuck(), buffer=10, on_failure=on_failure)
    auditing.note(event())
    sending = asyncio.create_task(auditing.send())
    await asked.wait()

    for _ in range(100):
        auditing.note(event())

    assert auditing.waiting == (20 if on_failure is OnFailure.REFUSE else 10)
    sending.cancel()


async def test_of_many_strangers_a_number_is_listed_and_the_rest_is_counted() -> None:
    writer, clock = WriterDouble(), HandClock()
    auditing = auditing_to(writer, clock)
    for _ in range(MAX_DENIALS + 7):
        auditing.note_denial(event(kind=Kind.DENIAL))
    clock.advance(1.0)
    auditing.note_denial(event(kind=Kind.DENIAL))

    await auditing.drain()

    written = read(writer.events)
    assert len(written) == MAX_DENIALS + 2
    assert written[-1] == {
        "time": "2026-07-28T12:00:00Z",
        "kind": "denial",
        "detail": "further ones, not listed",
        "count": 7,
    }


async def test_the_audit_is_looked_for_again_only_when_it_has_not_answered() -> None:
    writers: list[WriterDouble] = []

    def find() -> WriterDouble:
        writers.append(WriterDouble())
        return writers[-1]

    auditing = Auditing("ingress:1", find, AuditSettings(), HandClock(), lambda: NOW)
    for number in range(6):
        if number == 3:
            writers[0].away = True
        auditing.note(event(str(number)))
        await auditing.send()
    await auditing.drain()

    assert [[each["name"] for each in read(writer.events)] for writer in writers] == [["0", "1", "2"], ["3", "4", "5"]]


async def test_an_event_that_cannot_be_written_down_is_lost_and_counted_and_harms_nobody() -> None:
    writer = WriterDouble()
    auditing = auditing_to(writer)

    auditing.note(event("\ud800"))
    auditing.note(event("fine"))
    await auditing.drain()

    assert [each["kind"] for each in read(writer.events)] == ["call", "loss"]


async def test_batches_go_out_again_and_again_and_what_sinks_dropped_is_counted() -> None:
    writer = WriterDouble()
    writer.dropped = 4
    auditing = auditing_to(writer)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        auditing.note(event(str(len(slept))))
        await asyncio.sleep(0 if len(slept) < 4 else 3600)

    task = asyncio.create_task(auditing.run(sleep))
    await until(lambda: len(slept) == 4)
    task.cancel()

    assert set(slept) == {0.2}
    assert [each["name"] for each in read(writer.events)] == ["1", "2", "3"]
    assert auditing.counts.dropped == 4
