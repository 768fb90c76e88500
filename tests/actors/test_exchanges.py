"""The exchanges of a backend: bounded while they run, kept for a while after, and none executed twice."""

from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.exchanges import Exchanges
from actors.core.call import Call
from actors.core.outcome import Failure, FailureKind
from tests.support.bus import CALL, KeepingOutlet, exchange_id, reply


class Bench:
    """Exchanges under a clock that is moved by hand."""

    def __init__(self, **limits: int) -> None:
        self.now = 1000.0
        settings = ExchangeSettings(keep_seconds=30.0, **limits)
        self.exchanges = Exchanges("git", settings, max_data_bytes=10**9, clock=lambda: self.now)

    def start(self, number: int, call: Call = CALL) -> Exchange:
        exchange = self.exchanges.admit(exchange_id(number), call)
        assert isinstance(exchange, Exchange)
        return exchange

    def finish(self, number: int, *, received: bool = False, text: str = "done") -> Exchange:
        exchange = self.start(number)
        exchange.finish(reply(text))
        if received:
            self.exchanges.received(exchange)
        return exchange

    def known(self) -> list[int]:
        return [number for number in range(100) if self.exchanges.find(exchange_id(number)) is not None]


def test_an_exchange_is_found_while_it_runs_and_for_a_while_after():
    bench = Bench()
    running = bench.start(1)
    finished = bench.finish(2)

    bench.now += 29.9

    assert bench.exchanges.find(exchange_id(1)) is running
    assert bench.exchanges.find(exchange_id(2)) is finished
    assert bench.exchanges.find(exchange_id(3)) is None


def test_a_finished_exchange_is_forgotten_in_time_and_a_running_one_is_not():
    bench = Bench()
    bench.start(1)
    bench.finish(2)
    bench.finish(3, received=True)

    bench.now += 30.0

    assert bench.known() == [1]


def test_more_calls_than_may_run_are_refused_as_busy_until_one_is_finished():
    bench = Bench(max_running=2)
    first = bench.start(1)
    bench.start(2)

    refused = bench.exchanges.admit(exchange_id(3), CALL)
    first.finish(reply("done"))

    assert refused == Failure(FailureKind.BUSY, "git")
    assert isinstance(bench.exchanges.admit(exchange_id(3), CALL), Exchange)


def test_a_forgotten_exchange_is_not_executed_again():
    bench = Bench()
    bench.finish(1)
    bench.now += 31.0
    bench.exchanges.expire()

    again = bench.exchanges.admit(exchange_id(1), CALL)

    assert isinstance(again, Failure)
    assert again.kind is FailureKind.DISCONNECTED


def test_outcomes_which_were_received_make_way_before_those_which_were_not():
    bench = Bench(max_kept=3)
    bench.finish(1)
    bench.finish(2, received=True)
    bench.finish(3)

    bench.finish(4)

    assert bench.known() == [1, 3, 4]


def test_the_oldest_makes_way_when_none_was_received():
    bench = Bench(max_kept=2)

    for number in (1, 2, 3):
        bench.finish(number)

    assert bench.known() == [2, 3]


def test_kept_exchanges_are_bounded_by_their_bytes():
    bench = Bench(max_kept_bytes=1000)

    for number in (1, 2, 3):
        bench.finish(number, text="x" * 450)

    assert bench.known() == [2, 3]


def test_an_outcome_larger_than_all_that_may_be_kept_is_still_sent():
    bench, outlet = Bench(max_kept_bytes=100), KeepingOutlet()
    exchange = bench.start(1)
    exchange.attach(outlet, 7, after=0)

    exchange.finish(reply("x" * 1000))

    assert outlet.outcomes == [(7, reply("x" * 1000))]


def test_the_bytes_of_the_forgotten_are_free_again():
    bench = Bench(max_kept_bytes=1000)
    for number in range(1, 50):
        bench.finish(number, text="x" * 450, received=number % 2 == 0)
        bench.now += 31.0

    bench.finish(50, text="x" * 450)
    bench.finish(51, text="x" * 450)

    assert bench.known() == [50, 51]


def test_a_receipt_for_what_is_forgotten_brings_nothing_back():
    bench = Bench()
    exchange = bench.finish(1)
    bench.now += 31.0
    bench.exchanges.expire()

    bench.exchanges.received(exchange)

    assert bench.known() == []
