"""What the scenarios make of the calls that they saw: a driver that overlooks a failure is worse than none."""

import json
from unittest.mock import Mock

import pytest

from load.callers import Call, latency
from load.calls import ANOTHER_ID, ANOTHER_TEXT, Era, Wire, reason_of
from load.scenarios.failover import Step, answering, back_after, longest_gap, report, steps
from load.scenarios.sticky import Session
from tests.support.cluster_server import Note

JSON = "application/json"


def rates(before: int, after: list[int]) -> list[Step]:
    """Steps with so many answers before the kill, and after it."""
    each = [before] * 4 + after
    return [Step(0.5 * (number - 4), right, 0, 0.0) for number, right in enumerate(each)]


def test_calls_are_counted_in_the_half_second_in_which_they_ended() -> None:
    calls = [Call("a", 9.0, 9.4), Call("b", 9.2, 10.1), Call("c", 10.2, 10.4, "disconnected"), Call("d", 10.4, 10.6)]

    found = steps(calls, 10.0, before=1.0, after=1.0)

    assert [(step.at, step.right, step.failed) for step in found] == [
        (-1.0, 1, 0),
        (-0.5, 0, 0),
        (0.0, 1, 1),
        (0.5, 1, 0),
    ]
    assert found[2].slowest == pytest.approx(0.9)


def test_a_rate_is_back_only_where_it_stays() -> None:
    assert back_after(rates(100, [100, 10, 90, 90, 90, 90])) == 1.0
    assert back_after(rates(100, [100, 90, 90, 90, 10, 10])) == 0.0
    assert back_after(rates(100, [10, 90, 90, 90, 10, 90])) is None


def test_a_gap_counts_if_it_ends_after_the_kill() -> None:
    calls = [Call("a", 0.0, 1.0), Call("b", 0.0, 5.0), Call("c", 4.0, 5.5), Call("d", 5.0, 5.6, "disconnected")]

    assert longest_gap(calls, since=4.5) == 4.0
    assert longest_gap(calls, since=5.2) == 0.5


def test_who_answered_lately_is_told_from_the_journal() -> None:
    calls = [Call("early", 0.0, 0.1), Call("late", 9.0, 9.1), Call("failed", 9.0, 9.2, "disconnected")]

    assert answering(calls, [Note(1, "early"), Note(2, "late"), Note(3, "failed")]) == {2}


RIGHT = [Call("a", 9.9, 10.2)]
STEADY = rates(100, [100] * 4)


@pytest.mark.parametrize(
    ("calls", "notes", "code"),
    [
        pytest.param(RIGHT, [], 0, id="all is well"),
        pytest.param([*RIGHT, Call("b", 9.9, 10.1, "disconnected")], [], 0, id="it was on its way"),
        pytest.param([*RIGHT, Call("b", 10.9, 11.0, "disconnected")], [], 1, id="it came later"),
        pytest.param([*RIGHT, Call("b", 9.0, 9.9, "disconnected")], [], 1, id="it failed before"),
        pytest.param([*RIGHT, Call("b", 9.9, 10.1, ANOTHER_TEXT)], [], 1, id="the answer of another call"),
        pytest.param(RIGHT, [Note(1, "a"), Note(2, "a")], 1, id="it ran twice"),
    ],
)
def test_failover_finds_what_must_not_be(calls: list[Call], notes: list[Note], code: int) -> None:
    assert report(calls, notes, 10.0, STEADY) == code


def test_failover_wants_the_rate_back() -> None:
    assert report(RIGHT, [], 10.0, rates(100, [10] * 4)) == 1


@pytest.mark.parametrize(
    ("aggregate", "told", "well"),
    [
        (True, ["session_lost"], True),
        (True, ["disconnected", "session_lost"], True),
        (True, [], False),
        (True, ["session_lost", "session_lost"], False),
        (True, ["status 404"], False),
        (False, ["status 404"], True),
        (False, ["session_lost", "status 404"], False),
        (False, ["session_lost"], False),
        (False, ["unavailable", "status 404"], True),
        (False, ["unavailable"], False),
        (False, ["status 404", "unavailable"], False),
    ],
)
def test_each_endpoint_has_its_own_way_to_tell_of_a_lost_session(aggregate: bool, told: list[str], well: bool) -> None:
    assert Session(Mock(), aggregate, told=told).told_well is well


def test_latency_is_that_of_right_answers_alone() -> None:
    calls = [Call("a", 0.0, 0.01), Call("b", 0.0, 0.02), Call("c", 0.0, 9.0, "busy")]

    assert latency(calls, 0.99) == pytest.approx(20.0)


def test_wrong_answers_are_told_from_failures() -> None:
    assert Call("a", 0.0, 1.0, ANOTHER_ID).wrong
    assert not Call("a", 0.0, 1.0, "disconnected").wrong


def test_the_reason_of_an_error_is_read() -> None:
    error = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "m", "data": {"reason": "busy"}}}

    assert reason_of(JSON, json.dumps(error).encode()) == "busy"
    assert reason_of(JSON, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m"}}') == ""
    assert reason_of(JSON, b'{"jsonrpc":"2.0","id":1,"result":{}}') == ""
    assert reason_of(JSON, b"<html>") == ""


def test_a_wire_asks_for_a_delay_only_if_told() -> None:
    slow = json.loads(Wire(Era.MODERN, "note", delay_ms=50).call().body)
    quick = json.loads(Wire(Era.MODERN, "note").call().body)

    assert slow["params"]["arguments"]["delay_ms"] == 50
    assert list(quick["params"]["arguments"]) == ["text"]
