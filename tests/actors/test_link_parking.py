"""Parked exchanges over real sockets: left over one link, resumed or answered over another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.bus.attachment import Attachment, LinkLost
from actors.bus.dialer import CallerLink
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.frames import WINDOW, Event, EventKind
from actors.bus.link import LinkSettings
from actors.core.outcome import Failure, FailureKind
from tests.support.bus import CALL, RecordingBackend, dialled, exchange_id, linked, listening, reply, until

ID = exchange_id(1)
REPLAYED = Failure(FailureKind.REPLAYED, "git")


def ask_twice(exchange: Exchange) -> None:
    exchange.emit(EventKind.ASK, b"1")
    exchange.emit(EventKind.ASK, b"2")


@asynccontextmanager
async def two_links(
    backend: RecordingBackend, exchanges: ExchangeSettings | None = None
) -> AsyncIterator[tuple[CallerLink, CallerLink]]:
    async with (
        listening(backend, exchanges=exchanges) as address,
        dialled(address) as one,
        dialled(address) as other,
    ):
        yield one, other


async def park(caller: CallerLink, backend: RecordingBackend) -> Exchange:
    """Open a call that asks twice, read both questions, and leave."""
    attachment = caller.open(CALL, ID)
    for _ in range(2):
        await attachment.next()
    attachment.detach()
    await until(lambda: backend.exchanges[-1].reader is None)
    return backend.exchanges[-1]


async def read(attachment: Attachment, count: int) -> list[int]:
    """The numbers of the next events."""
    items = [await attachment.next() for _ in range(count)]
    return [item.seq for item in items if isinstance(item, Event)]


async def test_a_parked_exchange_is_resumed_over_another_link():
    backend = RecordingBackend(ask_twice)
    async with two_links(backend) as (one, other):
        exchange = await park(one, backend)

        resumed = other.resume(ID, 2, [(1, b"yes"), (2, b"no")])
        await until(lambda: len(backend.answers) == 2)
        exchange.emit(EventKind.PROGRESS, b"{}")
        exchange.finish(reply("done"))

        assert await read(resumed, 1) == [3]
        assert await resumed.next() == reply("done")
        assert backend.answers == [(1, b"yes"), (2, b"no")]
        assert len(backend.exchanges) == 1


async def test_a_question_asked_again_does_not_turn_the_reader_back():
    backend = RecordingBackend(ask_twice)
    async with two_links(backend) as (one, other):
        await park(one, backend)

        resumed = other.resume(ID, 2, [(2, b"no")])

        assert await read(resumed, 1) == [1]
        assert resumed.last_seq == 2


async def test_a_repeated_resumption_over_the_same_link_disturbs_nobody():
    backend = RecordingBackend(ask_twice)
    async with linked(backend) as caller:
        exchange = await park(caller, backend)
        resumed = caller.resume(ID, 2, [(1, b"yes")])
        assert await read(resumed, 1) == [2]

        repeated = caller.resume(ID, 2, [(1, b"yes")])

        assert await repeated.next() == REPLAYED
        exchange.finish(reply("done"))
        assert await resumed.next() == reply("done")
        assert backend.answers == [(1, b"yes")]


async def test_resuming_what_nobody_knows_is_a_failure():
    async with linked(RecordingBackend()) as caller:
        outcome = await caller.resume(ID, 0, [(1, b"yes")]).next()

        assert isinstance(outcome, Failure)
        assert (outcome.kind, outcome.backend) == (FailureKind.DISCONNECTED, "git")


async def test_the_outcome_of_an_exchange_that_ended_while_it_was_parked_is_heard_by_who_resumes_it():
    backend = RecordingBackend(ask_twice)
    timeout = Failure(FailureKind.TIMEOUT, "git", "nobody answered")
    async with two_links(backend) as (one, other):
        exchange = await park(one, backend)
        exchange.finish(timeout)

        assert await other.resume(ID, 2, [(1, b"late")]).next() == timeout
        assert await one.resume(ID, 2, [(1, b"late")]).next() == REPLAYED


async def test_a_question_is_answered_over_a_link_that_does_not_read_the_exchange():
    backend = RecordingBackend(ask_twice)
    async with two_links(backend) as (one, other):
        attachment = one.open(CALL, ID)
        await read(attachment, 2)

        assert other.answer(ID, 1, b"yes")
        await until(lambda: bool(backend.answers))
        assert other.answer(ID, 1, b"again")
        assert other.answer(exchange_id(9), 1, b"to nobody")
        other.cancel_origin(b"the end")  # the frames of a link stay in order
        await until(lambda: bool(backend.origins))
        backend.exchanges[0].finish(reply("done"))

        assert backend.answers == [(1, b"yes")]
        assert await attachment.next() == reply("done")


async def test_a_lost_link_resumes_and_answers_nothing():
    async with linked(RecordingBackend()) as caller:
        caller.link.abort("pulled")

        assert isinstance(await caller.resume(ID, 3, [(1, b"yes")]).next(), LinkLost)
        assert not caller.answer(ID, 1, b"yes")


async def test_answers_larger_than_a_frame_are_refused_and_may_be_given_once_more():
    backend = RecordingBackend(ask_twice)
    async with linked(backend, link=LinkSettings(max_frame_bytes=100_000)) as caller:
        await park(caller, backend)

        refused = await caller.resume(ID, 2, [(1, b"x" * 60_000), (2, b"x" * 60_000)]).next()
        accepted = caller.resume(ID, 2, [(1, b"x" * 60_000)])

        assert isinstance(refused, Failure)
        assert refused.kind is FailureKind.UNSUPPORTED
        assert await read(accepted, 1) == [2]


async def test_a_full_link_refuses_a_resumption_as_busy_and_it_may_be_tried_once_more():
    backend = RecordingBackend(ask_twice)
    async with linked(backend, link=LinkSettings(high_water_bytes=64 * 1024)) as caller:
        await park(caller, backend)
        while caller.link.writable:
            caller.cancel_origin(b"x" * 10_000)

        refused = await caller.resume(ID, 2, [(1, b"yes")]).next()
        await until(lambda: caller.link.writable)
        accepted = caller.resume(ID, 2, [(1, b"yes")])

        assert isinstance(refused, Failure)
        assert refused.kind is FailureKind.BUSY
        assert await read(accepted, 1) == [2]


async def test_a_resumed_reader_has_the_same_credit_as_any_other():
    backend = RecordingBackend(ask_twice)
    async with two_links(backend) as (one, other):
        exchange = await park(one, backend)
        resumed = other.resume(ID, 2, [])
        await until(lambda: exchange.reader is not None)
        for _ in range(3 * WINDOW):
            exchange.emit(EventKind.PROGRESS, b"{}")

        assert await read(resumed, 3 * WINDOW + 2) == list(range(1, 3 * WINDOW + 3))


async def test_a_backend_that_fails_at_an_answer_ends_that_exchange_and_no_other():
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    backend = RecordingBackend(ask_twice)

    def fail(_ask: int, _value: bytes) -> None:
        raise KeyError("a bug")

    async with linked(backend) as caller:
        exchange = await park(caller, backend)
        exchange.on_answer = fail

        outcome = await caller.resume(ID, 2, [(1, b"yes"), (2, b"no")]).next()
        other = caller.open(CALL, exchange_id(2))

        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.DISCONNECTED
        assert await read(other, 2) == [1, 2]
        assert [type(error) for error in reported] == [KeyError]
