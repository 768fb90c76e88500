import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from actors import metrics
from actors.core.breaker import Event, State
from actors.core.incident import Incident
from actors.core.tally import AuditCounts, BackendFacts, CallLabels, Report, Tally
from actors.metrics import MAX_AHEAD, MAX_SOURCES, SILENT_SECONDS, Metrics

LABELS = CallLabels("git", "tools/call", "ok")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def make_metrics(clock=None):
    return Metrics(version="1.2.3", clock=clock or Clock())


def report(source="a", sequence=1, calls=1, seconds=0.2, labels=LABELS):
    tally = Tally()
    for _ in range(calls):
        tally.count(labels, seconds)
    return Report(source, sequence, tally)


def samples(rendered):
    """Every sample as the official parser reads it: {(name, labels): value}."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(rendered.decode())
        for sample in family.samples
    }


def value(subject, name, **labels):
    return samples(subject.render()).get((name, tuple(sorted(labels.items()))))


def calls(subject):
    return value(subject, "only1mcp_requests_total", backend="git", method="tools/call", outcome="ok")


def test_reports_of_all_sources_add_up():
    subject = make_metrics()

    subject.report(report("a", 1, calls=2))
    subject.report(report("a", 2, calls=3))
    subject.report(report("b", 1, calls=4))

    assert calls(subject) == 9
    assert value(subject, "only1mcp_metrics_sources") == 2


def test_latencies_are_rendered_as_a_cumulative_histogram():
    subject = make_metrics()
    name = "only1mcp_request_duration_seconds"
    labels = {"backend": "git", "method": "tools/call"}

    subject.report(report(sequence=1, seconds=0.2))
    subject.report(report(sequence=2, seconds=90))

    assert value(subject, f"{name}_bucket", le="0.1", **labels) == 0
    assert value(subject, f"{name}_bucket", le="0.25", **labels) == 1
    assert value(subject, f"{name}_bucket", le="60.0", **labels) == 1
    assert value(subject, f"{name}_bucket", le="+Inf", **labels) == 2
    assert value(subject, f"{name}_count", **labels) == 2
    assert value(subject, f"{name}_sum", **labels) == 90.2


def test_http_responses_are_rendered_by_class():
    subject = make_metrics()
    tally = Tally()
    tally.count_response(200)
    tally.count_response(404)

    subject.report(Report("a", 1, tally))

    assert value(subject, "only1mcp_http_responses_total", status="2xx") == 1
    assert value(subject, "only1mcp_http_responses_total", status="4xx") == 1


@given(order=st.permutations(list(range(1, 20)) * 2))
def test_a_report_counts_once_however_often_and_in_whatever_order_it_comes(order):
    subject = make_metrics()

    for sequence in order:
        subject.report(report(sequence=sequence))

    assert calls(subject) == 19


def test_a_report_which_never_came_does_not_make_others_count_twice():
    subject = make_metrics()

    for sequence in range(2, MAX_AHEAD + 50):
        subject.report(report(sequence=sequence))
        subject.report(report(sequence=sequence))
    late = calls(subject)
    subject.report(report(sequence=1))

    assert late == MAX_AHEAD + 48
    assert calls(subject) == late


def test_sources_are_bounded_and_the_one_unheard_of_for_longest_is_forgotten():
    subject = make_metrics()
    for number in range(MAX_SOURCES):
        subject.report(report(f"source {number}"))
    subject.report(report("source 0", 2))

    subject.report(report("one more"))
    subject.report(report("source 0"))

    assert value(subject, "only1mcp_metrics_sources") == MAX_SOURCES
    assert calls(subject) == MAX_SOURCES + 2


def test_a_silent_source_is_no_longer_counted_as_reporting_but_its_calls_are():
    clock = Clock()
    subject = make_metrics(clock)
    subject.report(report("a"))

    clock.now += SILENT_SECONDS

    assert value(subject, "only1mcp_metrics_sources") == 0
    assert calls(subject) == 1


def test_facts_are_rendered_per_replica_and_tools_per_backend():
    subject = make_metrics()

    subject.observe(
        [
            BackendFacts("git", 0, up=True, restarts=2, tools=12, breaker=State.CLOSED, in_flight=3),
            BackendFacts("git", 1, up=False, tools=11, breaker=State.HALF_OPEN),
        ]
    )

    found = samples(subject.render())
    assert found["only1mcp_backend_up", (("backend", "git"), ("replica", "0"))] == 1
    assert found["only1mcp_backend_up", (("backend", "git"), ("replica", "1"))] == 0
    assert found["only1mcp_backend_restarts_total", (("backend", "git"), ("replica", "0"))] == 2
    assert found["only1mcp_backend_in_flight", (("backend", "git"), ("replica", "0"))] == 3
    assert found["only1mcp_backend_tools", (("backend", "git"),)] == 12


@pytest.mark.parametrize("state", State)
def test_the_breaker_is_in_exactly_one_state(state):
    subject = make_metrics()

    subject.observe([BackendFacts("git", 0, up=True, breaker=state)])

    shown = {
        other: value(subject, "only1mcp_breaker_state", backend="git", replica="0", state=other.value)
        for other in State
    }
    assert shown == {other: float(other is state) for other in State}


def test_the_breaker_is_counted_by_what_moved_it_and_is_0_before():
    subject = make_metrics()

    subject.observe([BackendFacts("git", 0, up=True), BackendFacts("git", 1, up=True, transitions=(3, 2, 1, 0, 4, 5))])

    shown = [
        [
            value(subject, "only1mcp_breaker_transitions_total", backend="git", replica=replica, event=event.value)
            for event in Event
        ]
        for replica in ("0", "1")
    ]
    assert shown == [[0, 0, 0, 0, 0, 0], [3, 2, 1, 0, 4, 5]]


def incidents(*noted):
    tally = Tally()
    for each in noted:
        tally.note(*each)
    return tally


def test_retries_are_rendered_by_the_failure_before_them():
    subject = make_metrics()
    subject.report(Report("a", 1, incidents((Incident.RETRY, "git", "busy"), (Incident.RETRY, "git", "unavailable"))))

    subject.report(Report("b", 1, incidents((Incident.RETRY, "git", "busy"))))

    name = "only1mcp_retries_total"
    assert value(subject, name, backend="git", reason="busy") == 2
    assert value(subject, name, backend="git", reason="unavailable") == 1


def test_refused_requests_are_counted_by_limit_and_backend():
    subject = make_metrics()
    limited = incidents(*[(Incident.LIMITED, "git", "calm")] * 2, (Incident.LIMITED, "", "quota_calls"))

    subject.report(Report("a", 1, limited))

    assert value(subject, "only1mcp_limited_total", backend="git", limit="calm") == 2
    assert value(subject, "only1mcp_limited_total", backend="", limit="quota_calls") == 1


@pytest.mark.parametrize(
    ("incident", "name"),
    [
        (Incident.HEDGE, "hedges"),
        (Incident.HEDGE_WON, "hedges_won"),
        (Incident.EJECTION, "ejections"),
        (Incident.SESSION_LOST, "sessions_lost"),
    ],
)
def test_every_other_incident_is_a_counter_by_backend_which_is_0_before_the_first(incident, name):
    subject = make_metrics()
    subject.observe([BackendFacts("git", 0, up=True), BackendFacts("time", 0, up=True)])

    before = value(subject, f"only1mcp_{name}_total", backend="git")
    subject.report(Report("a", 1, incidents((incident, "git"), (incident, "git"))))

    assert before == 0
    assert value(subject, f"only1mcp_{name}_total", backend="git") == 2
    assert value(subject, f"only1mcp_{name}_total", backend="time") == 0


def ejected(subject):
    return value(subject, "only1mcp_ejections_active", backend="git")


def test_a_replica_that_two_ingresses_leave_alone_is_one_ejected_replica():
    subject = make_metrics()

    subject.report(Report("a", 1, Tally(), {"git": ("git:0", "git:1")}))
    subject.report(Report("b", 1, Tally(), {"git": ("git:0",)}))

    assert ejected(subject) == 2


def test_ejections_are_those_of_the_latest_report_of_each_source_in_whatever_order_they_come():
    subject = make_metrics()
    subject.observe([BackendFacts("git", 0, up=True)])

    subject.report(Report("a", 2, Tally()))
    subject.report(Report("a", 1, Tally(), {"git": ("git:0",)}))
    late = ejected(subject)
    subject.report(Report("a", 3, Tally(), {"git": ("git:0",)}))

    assert late == 0
    assert ejected(subject) == 1


def test_what_a_silent_source_left_alone_is_ejected_no_more():
    clock = Clock()
    subject = make_metrics(clock)
    subject.observe([BackendFacts("git", 0, up=True)])
    subject.report(Report("a", 1, Tally(), {"git": ("git:0",)}))

    clock.now += SILENT_SECONDS

    assert ejected(subject) == 0


def test_a_removed_backend_has_no_more_facts_but_keeps_its_counts():
    subject = make_metrics()
    subject.report(report())
    subject.observe([BackendFacts("git", 0, up=True)])

    subject.observe([])

    assert value(subject, "only1mcp_backend_up", backend="git", replica="0") is None
    assert calls(subject) == 1


def test_the_version_is_shown():
    assert value(make_metrics(), "only1mcp_build_info", version="1.2.3") == 1


@given(
    names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), max_size=4, unique=True),
    seconds=st.floats(0, 1e6),
)
def test_the_text_is_byte_for_byte_what_prometheus_client_writes(names, seconds):
    subject = make_metrics()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(subject)

    subject.observe([BackendFacts(name, 0, up=True) for name in names])
    for number, name in enumerate(names):
        subject.report(report("a", number + 1, seconds=seconds, labels=CallLabels(name, "tools/call", "ok")))
        noted = incidents((Incident.RETRY, name, "busy"), (Incident.HEDGE, name))
        subject.report(Report("b", number + 1, noted, {name: (f"{name}:0",)}))

    assert subject.render() == generate_latest(registry)


def test_the_content_type_is_that_of_the_format():
    assert metrics.CONTENT_TYPE == CONTENT_TYPE_PLAIN_0_0_4


def test_events_of_the_audit_are_added_up_and_those_that_wait_are_as_each_source_said_last() -> None:
    metrics = Metrics(version="1")
    metrics.report(Report("a", 1, Tally(), audit=AuditCounts(5, 1, 2, 7)))
    metrics.report(Report("a", 1, Tally(), audit=AuditCounts(5, 1, 2, 7)))
    metrics.report(Report("a", 2, Tally(), audit=AuditCounts(3, 0, 0, 4)))
    metrics.report(Report("b", 1, Tally(), audit=AuditCounts(1, 0, 0, 2)))

    page = metrics.render().decode()

    assert 'only1mcp_audit_events_total{result="written"} 9.0' in page
    assert 'only1mcp_audit_events_total{result="lost"} 1.0' in page
    assert 'only1mcp_audit_events_total{result="dropped"} 2.0' in page
    assert "only1mcp_audit_waiting 6.0" in page
