import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.incident import Incident, IncidentLabels
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from actors.core.tally import BOUNDS, METHODS, OTHER, OUTCOMES, OVERFLOW, CallLabels, Tally, outcome_label

LABELS = st.builds(
    CallLabels,
    st.sampled_from(["git", "time", "files"]),
    st.sampled_from(["tools/call", "prompts/get", "made/up"]),
    st.sampled_from(sorted(OUTCOMES)),
)
CALLS = st.lists(st.tuples(LABELS, st.floats(0, 100)), max_size=12)
STATUSES = st.lists(st.integers(0, 700), max_size=5)
INCIDENTS = st.lists(
    st.tuples(st.sampled_from(Incident), st.sampled_from(["git", "time"]), st.sampled_from(["", "busy"])), max_size=8
)


def tally_of(calls, statuses=(), incidents=(), **options):
    tally = Tally(**options)
    for incident in incidents:
        tally.note(*incident)
    for labels, seconds in calls:
        tally.count(labels, seconds)
    for status in statuses:
        tally.count_response(status)
    return tally


def merged(*tallies, **options):
    total = Tally(**options)
    for tally in tallies:
        total.merge(tally)
    return total


TALLIES = st.builds(tally_of, CALLS, STATUSES, INCIDENTS)


@given(tallies=st.lists(TALLIES, max_size=5), data=st.data())
def test_merging_in_any_order_gives_the_same_totals(tallies, data):
    shuffled = data.draw(st.permutations(tallies))

    assert merged(*shuffled) == merged(*tallies)


@given(first=TALLIES, second=TALLIES, third=TALLIES)
def test_merging_in_any_grouping_gives_the_same_totals(first, second, third):
    left = copy.deepcopy(first)
    left.merge(second)
    left.merge(third)
    right = copy.deepcopy(second)
    right.merge(third)

    assert merged(first, right) == left


@given(calls=CALLS, more=CALLS)
def test_merging_two_tallies_equals_counting_everything_in_one(calls, more):
    assert merged(tally_of(calls), tally_of(more)) == tally_of(calls + more)


@given(calls=CALLS)
def test_merging_leaves_the_other_tally_alone_for_good(calls):
    other = tally_of(calls)
    before = copy.deepcopy(other)
    total = merged(other)

    total.merge(other)
    total.count(CallLabels("git", "tools/call", "ok"), 1.0)

    assert other == before


@given(calls=CALLS, more=CALLS)
def test_beyond_the_limit_of_series_no_call_is_lost(calls, more):
    total = merged(tally_of(calls), tally_of(more, max_series=2), max_series=3)

    assert len(total.calls) <= 3 + 1
    assert len(total.latencies) <= 3 + 1
    assert total.calls.total() == len(calls) + len(more)
    assert sum(sum(latencies.buckets) for latencies in total.latencies.values()) == len(calls) + len(more)


def test_a_known_series_is_still_counted_apart_when_there_are_too_many():
    known, new = CallLabels("git", "tools/call", "ok"), CallLabels("time", "tools/call", "ok")
    tally = tally_of([(known, 1.0)], max_series=1)

    tally.count(known, 1.0)
    tally.count(new, 1.0)

    assert tally.calls == {known: 2, OVERFLOW: 1}
    assert merged(tally, tally, max_series=1).calls == {known: 4, OVERFLOW: 2}


@given(seconds=st.floats(0, 100))
def test_a_call_is_in_the_first_bucket_whose_bound_it_does_not_exceed(seconds):
    tally = tally_of([(CallLabels("git", "tools/call", "ok"), seconds)])

    (latencies,) = tally.latencies.values()
    index = latencies.buckets.index(1)
    assert sum(latencies.buckets) == 1
    assert index == len(BOUNDS) or seconds <= BOUNDS[index]
    assert index == 0 or seconds > BOUNDS[index - 1]
    assert latencies.nanoseconds == pytest.approx(seconds * 1e9, abs=1)


def test_incidents_are_counted_apart_until_there_are_too_many():
    tally = tally_of([], incidents=[(Incident.RETRY, "git", "busy"), (Incident.RETRY, "git", "busy")], max_series=1)

    tally.note(Incident.EJECTION, "git")
    tally.note(Incident.EJECTION, "time")

    overflow = IncidentLabels(Incident.EJECTION, OTHER, OTHER)
    assert tally.incidents == {IncidentLabels(Incident.RETRY, "git", "busy"): 2, overflow: 2}
    assert merged(tally, tally, max_series=1).incidents == {
        IncidentLabels(Incident.RETRY, "git", "busy"): 4,
        overflow: 4,
    }


def test_what_clients_make_up_is_counted_as_other():
    tally = tally_of([(CallLabels("git", f"made/up/{number}", f"odd{number}"), 1.0) for number in range(100)])

    assert tally.calls == {CallLabels("git", OTHER, OTHER): 100}
    assert OTHER not in METHODS | OUTCOMES


@pytest.mark.parametrize(
    ("status", "label"), [(200, "2xx"), (202, "2xx"), (404, "4xx"), (599, "5xx"), (600, OTHER), (-1, OTHER)]
)
def test_responses_are_counted_by_class_of_status(status, label):
    assert tally_of([], [status]).responses == {label: 1}


def test_a_tally_is_false_until_it_counts_something():
    assert not Tally()
    assert tally_of([(CallLabels("git", "tools/call", "ok"), 1.0)])
    assert tally_of([], [200])
    assert tally_of([], incidents=[(Incident.HEDGE, "git")])


def test_a_tally_survives_the_way_between_processes():
    tally = tally_of([(CallLabels("git", "tools/call", "ok"), 1.0)], [200], [(Incident.RETRY, "git", "busy")])

    assert pickle.loads(pickle.dumps(tally)) == tally  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (Reply(b"{}", Era.MODERN), "ok"),
        (Reply(b"{}", Era.MODERN, is_error=True), "error"),
        *((Failure(kind, "git"), kind.value) for kind in FailureKind),
    ],
)
def test_every_outcome_has_a_label_of_its_own(outcome, label):
    assert outcome_label(outcome) == label
    assert label in OUTCOMES
