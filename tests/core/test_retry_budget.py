"""Retries are never more than their share."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.core.retry_budget import FLOOR, WINDOW_SECONDS, RetryBudget


def retries(budget: RetryBudget, now: float) -> int:
    """How many there may be at this moment."""
    count = 0
    while budget.allows(now) and count < 1000:
        budget.spend(now)
        count += 1
    return count


def begin(budget: RetryBudget, calls: int, now: float) -> None:
    for _ in range(calls):
        budget.begin(now)


def test_a_few_are_always_allowed():
    assert retries(RetryBudget(0.2), 100.0) == FLOOR
    assert retries(RetryBudget(0.0), 100.0) == FLOOR


def test_more_are_allowed_by_the_number_of_calls():
    budget = RetryBudget(0.2)

    begin(budget, 100, now=100.0)

    assert retries(budget, 105.0) == FLOOR + 20


def test_calls_of_long_ago_do_not_count_and_neither_do_retries():
    budget = RetryBudget(0.2)
    begin(budget, 100, now=100.0)
    spent = retries(budget, 100.5)

    assert (spent, retries(budget, 109.0)) == (FLOOR + 20, 0)
    assert retries(budget, 111.0) == FLOOR


def test_a_call_counts_no_longer_than_a_window_and_a_retry_no_shorter():
    budget = RetryBudget(0.2)
    begin(budget, 100, now=100.6)

    assert retries(budget, 110.7) == FLOOR
    assert retries(budget, 120.6) == 0
    assert retries(budget, 121.7) == FLOOR


def test_another_ratio_counts_at_once():
    budget = RetryBudget(0.0)
    begin(budget, 100, now=100.0)

    budget.ratio = 1.0

    assert retries(budget, 100.0) == FLOOR + 100


class Model(RuleBasedStateMachine):
    """Keeps every call and every retry, and looks back over exactly one window."""

    @initialize(ratio=st.sampled_from([0.0, 0.2, 1.0]) | st.floats(0, 1), now=st.sampled_from([100.0, 100.6, 100.98]))
    def start(self, ratio: float, now: float) -> None:
        self.budget = RetryBudget(ratio)
        self.now = now
        self.calls: list[float] = []
        self.retries: list[float] = []

    @rule(seconds=st.sampled_from([0.01, 0.5, 3.7, 9.6, 9.99, 10.0, 10.2]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(count=st.integers(1, 60))
    def calls_come(self, count: int) -> None:
        begin(self.budget, count, self.now)
        self.calls += [self.now] * count

    @rule()
    def calls_fail(self) -> None:
        while self.budget.allows(self.now):
            self.budget.spend(self.now)
            self.retries.append(self.now)
            lately = [at for at in self.retries if at > self.now - WINDOW_SECONDS]
            carried = [at for at in self.calls if at > self.now - WINDOW_SECONDS]
            assert len(lately) <= FLOOR + self.budget.ratio * len(carried)

    @invariant()
    def it_remembers_no_more_than_a_window(self) -> None:
        if hasattr(self, "budget"):
            assert len(self.budget._calls) <= WINDOW_SECONDS + 1
            assert len(self.budget._retries) <= WINDOW_SECONDS + 1


TestModel = Model.TestCase
TestModel.settings = settings(deadline=None, stateful_step_count=12)
