"""What follows a failed attempt, rung by rung, and what never follows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.outcome import NEVER_SENT, Failure, FailureKind
from actors.core.retry import MAX_DELAY, MAY_HAVE_RUN, SAYS_WHEN, Attempt, GiveUp, Retry, next_step
from actors.core.traffic_settings import RetrySettings

POLICY = RetrySettings(max_attempts=3, backoff=0.1)
LONELY = Attempt(Failure(FailureKind.UNAVAILABLE, "git"), 1, repeatable=False, others=False, hope=True, time_left=30.0)
REPEATABLE = replace(LONELY, failure=Failure(FailureKind.DISCONNECTED, "git"), repeatable=True)

KINDS = st.sampled_from(sorted(NEVER_SENT | MAY_HAVE_RUN)) | st.sampled_from(FailureKind)
POLICIES = st.builds(
    RetrySettings, max_attempts=st.integers(1, 10), backoff=st.floats(0.001, 100.0), budget=st.floats(0, 1)
)
ATTEMPTS = st.builds(
    Attempt,
    st.builds(Failure, KINDS, st.just("git")),
    st.integers(1, 4) | st.integers(1, 12),
    repeatable=st.booleans(),
    others=st.booleans(),
    hope=st.booleans(),
    time_left=st.floats(-1.0, 1.0) | st.floats(0.0, 100.0),
    sent=st.booleans(),
)
DICE = st.floats(0, 1, exclude_max=True)


def decide(attempt: Attempt, *, affordable: bool = True, dice: float = 0.0) -> Retry | GiveUp:
    return next_step(POLICY, attempt, affordable=affordable, dice=dice)


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - NEVER_SENT - MAY_HAVE_RUN))
def test_a_failure_that_would_be_the_same_again_is_final(kind: FailureKind):
    attempt = replace(REPEATABLE, failure=Failure(kind, "git"), others=True)

    assert decide(attempt) == GiveUp("final")


@pytest.mark.parametrize("kind", sorted(MAY_HAVE_RUN))
def test_a_call_that_may_have_run_is_repeated_only_if_that_does_no_harm(kind: FailureKind):
    attempt = replace(REPEATABLE, failure=Failure(kind, "git"), others=True)

    assert decide(replace(attempt, repeatable=False)) == GiveUp("may_have_run")
    assert decide(attempt) == Retry(0.0, elsewhere=True, charged=True)


@pytest.mark.parametrize("kind", sorted(NEVER_SENT))
def test_a_call_that_nobody_has_seen_goes_elsewhere_at_once_and_costs_nothing(kind: FailureKind):
    attempt = replace(LONELY, failure=Failure(kind, "git"), others=True)

    assert decide(attempt, affordable=False) == Retry(0.0, elsewhere=True, charged=False)


def test_a_replica_that_may_be_replaced_just_now_is_waited_for_longer_each_time():
    first, second = decide(LONELY, dice=0.5), decide(replace(LONELY, number=2), dice=0.5)

    assert first == Retry(pytest.approx(0.075), elsewhere=False, charged=True)
    assert second == Retry(pytest.approx(0.15), elsewhere=False, charged=True)


@pytest.mark.parametrize("kind", sorted(SAYS_WHEN))
def test_the_only_replica_says_itself_when_to_come_back(kind: FailureKind):
    assert decide(replace(LONELY, failure=Failure(kind, "git", retry_after=0.01))) == GiveUp("refused")


def test_a_backend_without_a_replica_that_could_come_is_not_waited_for():
    assert decide(replace(LONELY, hope=False)) == GiveUp("nobody_there")
    assert decide(replace(REPEATABLE, hope=False)) == GiveUp("nobody_there")


def test_waiting_for_a_link_costs_nothing_and_sending_again_does():
    assert decide(LONELY, affordable=False) == GiveUp("over_budget")
    assert isinstance(decide(replace(LONELY, sent=False), affordable=False), Retry)


def test_the_last_attempt_is_the_last():
    assert isinstance(decide(replace(LONELY, number=2, others=True)), Retry)
    assert decide(replace(LONELY, number=3, others=True)) == GiveUp("attempts_exhausted")


def test_there_is_no_wait_which_the_caller_would_not_survive():
    assert decide(replace(LONELY, time_left=0.05), dice=0.0) == GiveUp("out_of_time")
    assert decide(replace(LONELY, time_left=0.0, others=True)) == GiveUp("out_of_time")


@given(POLICIES, ATTEMPTS, st.booleans(), DICE)
def test_what_is_promised_of_every_retry(policy: RetrySettings, attempt: Attempt, affordable: bool, dice: float):
    step = next_step(policy, attempt, affordable=affordable, dice=dice)
    if isinstance(step, GiveUp):
        return
    kind = attempt.failure.kind

    assert kind in NEVER_SENT or (kind in MAY_HAVE_RUN and attempt.repeatable)
    assert attempt.number < policy.max_attempts
    assert 0 <= step.delay < attempt.time_left
    assert step.delay <= max(MAX_DELAY, policy.backoff)
    assert affordable or not step.charged
    assert step.elsewhere == attempt.others
    # only what no replica has carried, or what goes to one that has not, is for nothing
    assert step.charged or not attempt.sent or (kind in NEVER_SENT and attempt.others)
