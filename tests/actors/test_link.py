"""Links over real sockets: calls there, events and outcomes back, and what happens when a link or a peer fails."""

import asyncio
import random

import pytest
import uvloop

from actors.bus.attachment import Attachment, LinkLost
from actors.bus.dialer import CallerLink
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.frames import WINDOW, Event, EventKind
from actors.bus.link import LinkSettings
from actors.core.call import Call
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind, Reply
from tests.support.bus import (
    CALL,
    WAIT_SECONDS,
    RecordingBackend,
    dialled,
    exchange_id,
    linked,
    listening,
    reply,
    until,
)

MIB = 1024 * 1024


async def read_to_the_end(attachment: Attachment) -> tuple[list[Event], object]:
    """All events, and what came after them."""
    events = []
    async with asyncio.timeout(WAIT_SECONDS):
        while isinstance(item := await attachment.next(), Event):
            events.append(item)
    return events, item


async def outcome_of(attachment: Attachment) -> object:
    _, outcome = await read_to_the_end(attachment)
    return outcome


def echo(exchange: Exchange) -> None:
    exchange.finish(Reply(exchange.call.params, CALL_ERA))


CALL_ERA = reply("").era


def call(params: bytes) -> Call:
    return Call("tools/call", params, 30.0)


async def two_hundred_calls_finished_in_any_order(address: str | None) -> None:
    backend = RecordingBackend()
    async with listening(backend, address=address) as real, dialled(real) as caller:
        attachments = [caller.open(call(b"%d" % number), exchange_id(number)) for number in range(200)]
        await until(lambda: len(backend.exchanges) == 200)
        shuffled = random.Random(7).sample(backend.exchanges, 200)
        for exchange in shuffled:
            echo(exchange)

        outcomes = [await outcome_of(attachment) for attachment in attachments]

        assert outcomes == [Reply(b"%d" % number, CALL_ERA) for number in range(200)]
        assert caller.in_flight == 0


@pytest.mark.parametrize("address", [None, "tcp:127.0.0.1:0", "tcp:localhost:0"])
async def test_each_of_many_calls_gets_its_own_outcome(address):
    await two_hundred_calls_finished_in_any_order(address)


@pytest.mark.parametrize("address", [None, "tcp:127.0.0.1:0"])
def test_each_of_many_calls_gets_its_own_outcome_under_uvloop(address):
    uvloop.run(two_hundred_calls_finished_in_any_order(address))


async def test_a_call_arrives_whole_and_its_outcome_brings_the_load():
    backend = RecordingBackend(echo)
    backend.in_flight = 17
    sent = Call("tools/call", b'{"a":1}', 2.5, "echo", b'{"m":1}', b'{"c":1}', b'{"i":1}', True, "debug", b"origin")
    async with linked(backend) as caller:
        assert caller.load == Load(0)

        await outcome_of(caller.open(sent, exchange_id(1)))

        assert backend.exchanges[0].call == sent
        assert backend.exchanges[0].id == exchange_id(1)
        assert caller.load == Load(17)


async def test_a_failure_crosses_as_a_value():
    failure = Failure(FailureKind.BREAKER_OPEN, "git", "five in a row", 12.5)
    async with linked(RecordingBackend(lambda exchange: exchange.finish(failure))) as caller:
        assert await outcome_of(caller.open(CALL, exchange_id(1))) == failure


async def test_events_come_in_order_before_the_outcome_and_the_outcome_stays():
    def talk(exchange: Exchange) -> None:
        for kind in EventKind:
            exchange.emit(kind, kind.encode())
        echo(exchange)

    async with linked(RecordingBackend(talk)) as caller:
        attachment = caller.open(CALL, exchange_id(1))
        events, outcome = await read_to_the_end(attachment)

        assert [(event.seq, event.kind, event.data) for event in events] == [
            (number, kind, kind.encode()) for number, kind in enumerate(EventKind, start=1)
        ]
        assert outcome == Reply(CALL.params, CALL_ERA)
        assert await attachment.next() == outcome
        assert attachment.last_seq == len(EventKind)


async def test_a_stream_far_longer_than_a_window_arrives_whole():
    count = 20 * WINDOW

    async def stream(exchange: Exchange) -> None:
        for number in range(count):
            await until(lambda: exchange.emit(EventKind.PROGRESS, b"%d" % number))  # noqa: B023, awaited at once
        echo(exchange)

    backend = RecordingBackend()
    async with linked(backend) as caller:
        attachment = caller.open(CALL, exchange_id(1))
        await until(lambda: bool(backend.exchanges))
        (events, outcome), _ = await asyncio.gather(read_to_the_end(attachment), stream(backend.exchanges[0]))

        assert [event.data for event in events] == [b"%d" % number for number in range(count)]
        assert outcome == Reply(CALL.params, CALL_ERA)


async def test_whoever_does_not_read_one_exchange_holds_up_no_other():
    backend = RecordingBackend()
    async with linked(backend) as caller:
        unread = caller.open(CALL, exchange_id(1))
        await until(lambda: len(backend.exchanges) == 1)
        while backend.exchanges[0].emit(EventKind.LOG, b"x" * 10_000):
            pass
        backend.exchanges[0].finish(reply("done"))

        for number in range(2, 50):
            attachment = caller.open(call(b"x" * 50_000), exchange_id(number))
            await until(lambda: len(backend.exchanges) == number)  # noqa: B023, awaited at once
            echo(backend.exchanges[-1])
            assert await outcome_of(attachment) == Reply(b"x" * 50_000, CALL_ERA)

        events, outcome = await read_to_the_end(unread)
        assert len(events) == backend.exchanges[0].last_seq
        assert outcome == reply("done")


async def much_more_than_a_socket_holds() -> None:
    backend = RecordingBackend(echo)
    async with linked(backend, link=LinkSettings(high_water_bytes=64 * 1024)) as caller:
        waiting = []
        for number in range(40):
            await until(lambda: caller.link.writable)
            waiting.append(caller.open(call(b"%03d" % number + b"x" * MIB), exchange_id(number)))

        outcomes = [await outcome_of(attachment) for attachment in waiting]

        assert outcomes == [Reply(b"%03d" % number + b"x" * MIB, CALL_ERA) for number in range(40)]


async def test_large_answers_pass_a_link_that_is_full_most_of_the_time():
    await much_more_than_a_socket_holds()


def test_large_answers_pass_a_link_that_is_full_most_of_the_time_under_uvloop():
    uvloop.run(much_more_than_a_socket_holds())


async def test_a_full_link_refuses_calls_as_busy_instead_of_buffering_them():
    backend = RecordingBackend(echo)
    async with linked(backend, link=LinkSettings(high_water_bytes=64 * 1024)) as caller:
        attachments = [caller.open(call(b"x" * 200_000), exchange_id(number)) for number in range(100)]
        accepted = caller.in_flight

        outcomes = [await outcome_of(attachment) for attachment in attachments]

        assert 0 < accepted < 10
        assert [type(outcome) for outcome in outcomes] == [Reply] * accepted + [Failure] * (100 - accepted)
        assert outcomes[-1] == Failure(FailureKind.BUSY, "git", "the link to it is full")
        assert len(backend.exchanges) == accepted


async def test_a_call_larger_than_a_frame_is_refused_and_the_link_stays():
    backend = RecordingBackend(echo)
    async with linked(backend, link=LinkSettings(max_frame_bytes=100_000)) as caller:
        refused = await outcome_of(caller.open(call(b"x" * 100_001), exchange_id(1)))
        accepted = await outcome_of(caller.open(CALL, exchange_id(2)))

        assert isinstance(refused, Failure)
        assert refused.kind is FailureKind.UNSUPPORTED
        assert isinstance(accepted, Reply)
        assert len(backend.exchanges) == 1


async def test_an_answer_larger_than_a_frame_is_a_failure_and_the_link_stays():
    backend = RecordingBackend(lambda exchange: exchange.finish(reply("x" * 100_000)))
    async with linked(backend, link=LinkSettings(max_frame_bytes=100_000)) as caller:
        outcome = await outcome_of(caller.open(CALL, exchange_id(1)))

        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.TOO_LARGE
        assert not caller.closed


async def test_a_cancellation_reaches_the_backend_once_and_the_outcome_still_comes():
    backend = RecordingBackend()
    async with linked(backend) as caller:
        attachment = caller.open(CALL, exchange_id(1))
        attachment.cancel("the client left")
        attachment.cancel("the client left")
        await until(lambda: bool(backend.cancellations))
        backend.exchanges[0].finish(Failure(FailureKind.CANCELLED, "git"))

        assert await outcome_of(attachment) == Failure(FailureKind.CANCELLED, "git")
        attachment.cancel("too late")
        assert await outcome_of(caller.attach(exchange_id(1), 0)) == Failure(FailureKind.CANCELLED, "git")
        assert backend.cancellations == ["the client left"]


async def test_a_downstream_request_is_cancelled_by_its_origin():
    backend = RecordingBackend()
    async with linked(backend) as caller:
        caller.cancel_origin(b"request 7")

        await until(lambda: bool(backend.origins))

        assert backend.origins == [b"request 7"]


async def test_a_question_is_asked_and_answered_once():
    backend = RecordingBackend(lambda exchange: exchange.emit(EventKind.ASK, b'{"message":"sure?"}') and None)
    async with linked(backend) as caller:
        attachment = caller.open(CALL, exchange_id(1))
        ask = await attachment.next()
        assert isinstance(ask, Event)

        assert attachment.answer(ask.seq, b'{"action":"accept"}')
        assert attachment.answer(ask.seq, b'{"action":"decline"}')
        attachment.cancel("enough")  # the frames of a link stay in order, so both answers have come before this
        await until(lambda: bool(backend.cancellations))

        assert backend.answers == [(1, b'{"action":"accept"}')]


async def test_a_reader_which_is_cancelled_while_it_waits_loses_nothing():
    backend = RecordingBackend()
    async with linked(backend) as caller:
        attachment = caller.open(CALL, exchange_id(1))
        waiting = asyncio.create_task(attachment.next())
        await until(lambda: bool(backend.exchanges))
        waiting.cancel()
        backend.exchanges[0].emit(EventKind.PROGRESS, b"{}")

        with pytest.raises(asyncio.CancelledError):
            await waiting
        event = await attachment.next()

        assert isinstance(event, Event)


async def test_two_readers_of_one_attachment_are_a_bug_that_is_reported():
    async with linked(RecordingBackend()) as caller:
        attachment = caller.open(CALL, exchange_id(1))
        waiting = asyncio.create_task(attachment.next())
        await until(lambda: attachment._waiter is not None)

        with pytest.raises(RuntimeError):
            await attachment.next()

        waiting.cancel()


async def test_a_callback_which_fails_ends_its_own_exchange_and_no_other():
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context["exception"]))

    def fail_at_first(exchange: Exchange) -> None:
        if exchange.id == exchange_id(1):
            raise KeyError("a bug")
        echo(exchange)

    async with linked(RecordingBackend(fail_at_first)) as caller:
        first, second = caller.open(CALL, exchange_id(1)), caller.open(CALL, exchange_id(2))
        failure, answered = await outcome_of(first), await outcome_of(second)

        assert isinstance(failure, Failure)
        assert "a bug" not in failure.detail
        assert isinstance(answered, Reply)
        assert [type(error) for error in reported] == [KeyError]


async def open_on(caller: CallerLink, backend: RecordingBackend, number: int) -> tuple[Attachment, Exchange]:
    attachment = caller.open(CALL, exchange_id(number))
    await until(lambda: any(exchange.id == exchange_id(number) for exchange in backend.exchanges))
    return attachment, backend.exchanges[-1]


async def test_a_lost_link_ends_what_was_read_over_it_and_calls_its_owner_once():
    backend, reasons = RecordingBackend(), []
    async with listening(backend) as address, dialled(address, on_closed=reasons.append) as caller:
        attachment, exchange = await open_on(caller, backend, 1)
        exchange.emit(EventKind.PROGRESS, b"{}")
        exchange.emit(EventKind.PROGRESS, b"{}")
        await attachment.next()
        caller.link.abort("pulled")

        events, end = await read_to_the_end(attachment)
        late = await outcome_of(caller.open(CALL, exchange_id(2)))
        await until(lambda: exchange.reader is None)

        assert len(events) <= 1
        assert end == LinkLost("pulled")
        assert reasons == ["pulled"]
        assert isinstance(late, Failure)
        assert late.kind is FailureKind.UNAVAILABLE
        assert not exchange.done


async def test_closing_a_link_oneself_is_not_reported_as_a_loss():
    reasons = []
    async with listening(RecordingBackend()) as address, dialled(address, on_closed=reasons.append) as caller:
        attachment = caller.open(CALL, exchange_id(1))

        caller.close()
        caller.close()

        assert isinstance(await attachment.next(), LinkLost)
        assert caller.closed
        assert caller.in_flight == 0
        assert reasons == []


async def test_an_exchange_is_read_on_over_a_second_link_and_runs_once():
    backend = RecordingBackend()
    async with listening(backend) as address, dialled(address) as first, dialled(address) as second:
        attachment, exchange = await open_on(first, backend, 1)
        for number in range(1, 6):
            exchange.emit(EventKind.PROGRESS, b"%d" % number)
        seen = [await attachment.next() for _ in range(2)]
        first.link.abort("pulled")
        rest, _ = await read_to_the_end(attachment)
        await until(lambda: exchange.reader is None)
        exchange.emit(EventKind.PROGRESS, b"6")
        exchange.finish(reply("done"))

        missed, outcome = await read_to_the_end(second.attach(exchange_id(1), attachment.last_seq))

        assert [event.data for event in [*seen, *rest, *missed] if isinstance(event, Event)] == [
            b"%d" % number for number in range(1, 7)
        ]
        assert outcome == reply("done")
        assert len(backend.exchanges) == 1


async def test_an_outcome_is_kept_for_whoever_lost_the_link_before_it_came():
    backend = RecordingBackend()
    async with listening(backend) as address, dialled(address) as second:
        async with dialled(address) as first:
            _, exchange = await open_on(first, backend, 1)
        await until(lambda: exchange.reader is None)
        exchange.finish(reply("done"))

        assert await outcome_of(second.attach(exchange_id(1), 0)) == reply("done")
        assert await outcome_of(second.attach(exchange_id(1), 0)) == reply("done")


async def test_opening_an_exchange_twice_reads_it_twice_and_runs_it_once():
    backend = RecordingBackend()
    async with listening(backend) as address, dialled(address) as first, dialled(address) as second:
        former, exchange = await open_on(first, backend, 1)
        exchange.emit(EventKind.PROGRESS, b"{}")
        latter = second.open(CALL, exchange_id(1))
        cut_off = await outcome_of(former)
        exchange.finish(reply("done"))
        events, outcome = await read_to_the_end(latter)

        assert isinstance(cut_off, Failure)
        assert cut_off.kind is FailureKind.SUPERSEDED
        assert len(events) == 1
        assert outcome == reply("done")
        assert len(backend.exchanges) == 1


async def test_attaching_to_an_exchange_which_nobody_knows_is_a_failure():
    async with linked(RecordingBackend()) as caller:
        outcome = await outcome_of(caller.attach(exchange_id(99), 0))

        assert isinstance(outcome, Failure)
        assert (outcome.kind, outcome.backend) == (FailureKind.DISCONNECTED, "git")


async def test_a_parked_exchange_is_left_and_found_again():
    backend = RecordingBackend()
    async with linked(backend) as caller:
        attachment, exchange = await open_on(caller, backend, 1)
        exchange.emit(EventKind.ASK, b"?")
        ask = await attachment.next()
        assert isinstance(ask, Event)
        attachment.detach()
        attachment.detach()
        left = await attachment.next()
        await until(lambda: exchange.reader is None)

        again = caller.attach(exchange_id(1), ask.seq)
        again.answer(ask.seq, b"yes")
        await until(lambda: bool(backend.answers))
        exchange.finish(reply("done"))

        assert isinstance(left, LinkLost)
        assert await outcome_of(again) == reply("done")
        assert backend.answers == [(1, b"yes")]
        assert backend.cancellations == []


async def test_an_outcome_which_was_received_makes_way_for_one_which_was_not():
    backend = RecordingBackend()
    async with listening(backend, exchanges=ExchangeSettings(max_kept=2)) as address, dialled(address) as caller:
        async with dialled(address) as lost:
            _, unread = await open_on(lost, backend, 1)
        await until(lambda: unread.reader is None)
        unread.finish(reply("unread"))
        for number in (2, 3):
            attachment, exchange = await open_on(caller, backend, number)
            exchange.finish(reply("read"))
            await outcome_of(attachment)
            await until(lambda: exchange.reader is None)  # noqa: B023, awaited at once

        assert await outcome_of(caller.attach(exchange_id(1), 0)) == reply("unread")
        forgotten = await outcome_of(caller.attach(exchange_id(2), 0))
        assert isinstance(forgotten, Failure)
