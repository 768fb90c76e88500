"""Budgets are shared by the calls to one backend, follow its settings, and are bounded in number."""

from actors.core.retry_budget import FLOOR
from actors.core.traffic_settings import RetrySettings
from actors.core.view import BackendView
from serve_app.retries import MAX_BACKENDS, Retries
from tests.support.hand_clock import HandClock


def backend(name: str, budget: float = 0.2) -> BackendView:
    return BackendView(name, 9.0, retry=RetrySettings(budget=budget))


def test_the_calls_to_one_backend_share_a_budget_and_others_have_their_own():
    retries = Retries(clock=HandClock())

    first, second, other = (retries.begin(backend(name)) for name in ("git", "git", "web"))

    assert first is second
    assert first is not other


def test_a_budget_is_as_large_as_the_settings_say_now():
    clock = HandClock()
    retries = Retries(clock=clock)
    for _ in range(10):
        retries.begin(backend("git", 0.0))
    budget = retries.begin(backend("git", 1.0))

    count = 0
    while budget.allows(clock()):
        budget.spend(clock())
        count += 1

    assert count == FLOOR + 11


def test_there_are_no_more_budgets_than_may_be():
    retries = Retries(clock=HandClock())

    for number in range(MAX_BACKENDS + 20):
        retries.begin(backend(f"b{number}"))

    assert retries.backends == MAX_BACKENDS
