import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.outcome import NEVER_SENT, SENTENCES, Failure, FailureKind, Outcome, Reply, failure_error
from actors.core.revisions import Era

FAILURES = st.builds(
    Failure, st.sampled_from(FailureKind), st.text(max_size=20), st.text(max_size=20), st.none() | st.floats(0, 1e6)
)
REPLIES = st.builds(Reply, st.binary(), st.sampled_from(Era), st.booleans())


def test_every_kind_of_failure_has_its_sentence():
    assert set(SENTENCES) == set(FailureKind)
    assert len(set(SENTENCES.values())) == len(FailureKind)


@given(failure=FAILURES)
def test_a_failure_is_an_error_outside_the_reserved_codes_that_names_the_backend(failure):
    error = json.loads(failure_error(failure))

    assert error["code"] == (-32602 if failure.kind is FailureKind.REPLAYED else -32603)
    assert repr(failure.backend) in error["message"]
    assert error["message"].endswith(failure.detail)
    assert error["data"]["backend"] == failure.backend
    assert error["data"]["reason"] == failure.kind


@pytest.mark.parametrize(
    ("retry_after", "told"), [(None, {}), (1.23456, {"retryAfter": 1.235}), (0.0, {"retryAfter": 0.0})]
)
def test_a_failure_says_when_to_come_back_if_that_is_known(retry_after, told):
    error = json.loads(failure_error(Failure(FailureKind.BUSY, "git", retry_after=retry_after)))

    assert error["data"] == {"reason": "busy", "backend": "git"} | told


@pytest.mark.parametrize(
    "kind", [FailureKind.TIMEOUT, FailureKind.DISCONNECTED, FailureKind.TOO_LARGE, FailureKind.PROTOCOL]
)
def test_a_call_that_may_have_run_never_counts_as_never_sent(kind):
    assert kind not in NEVER_SENT


@given(outcome=FAILURES | REPLIES)
def test_an_outcome_arrives_over_the_bus_as_it_left(outcome):
    sent = msgspec.msgpack.encode(outcome)

    assert msgspec.msgpack.decode(sent, type=Outcome) == outcome
