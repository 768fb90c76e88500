"""Reports to Metrics: nothing lost, nothing twice."""

import asyncio
from collections import Counter
from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from actors.core.incident import Incident, IncidentLabels
from actors.core.tally import AuditCounts, CallLabels
from serve_app.tallying import SECONDS, Tallying
from tests.support.bus import until
from tests.support.house import MetricsDouble

LABELS = CallLabels("git", "tools/call", "ok")


def tallying_to(metrics: MetricsDouble) -> Tallying:
    return Tallying("ingress-1", lambda: metrics)  # type: ignore[arg-type, return-value]


async def test_what_was_counted_is_sent_and_counted_no_more() -> None:
    metrics = MetricsDouble()
    tallying = tallying_to(metrics)
    tallying.tally.count(LABELS, 0.5)

    await tallying.send()
    await tallying.send()

    assert [(report.source, report.sequence) for report in metrics.reports] == [("ingress-1", 1)]
    assert metrics.reports[0].tally.calls == {LABELS: 1}
    assert not tallying.tally


async def test_a_report_that_may_be_lost_is_sent_again_unchanged_before_the_next() -> None:
    metrics = MetricsDouble()
    tallying = tallying_to(metrics)
    metrics.away = True
    tallying.tally.count(LABELS, 0.5)
    await tallying.send()
    tallying.tally.count(LABELS, 0.5)
    await tallying.send()

    metrics.away = False
    await tallying.send()
    await tallying.send()

    assert [(report.sequence, report.tally.calls[LABELS]) for report in metrics.reports] == [(1, 1), (2, 1)]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=20))
def test_every_call_is_reported_exactly_once_however_metrics_comes_and_goes(rounds: list[tuple[int, bool]]) -> None:
    metrics = MetricsDouble()
    tallying = tallying_to(metrics)

    async def work() -> None:
        for calls, away in rounds:
            metrics.away = away
            for _ in range(calls):
                tallying.tally.count(LABELS, 0.1)
            await tallying.send()
        metrics.away = False
        await tallying.send()
        await tallying.send()

    asyncio.run(work())

    by_sequence = {report.sequence: report.tally.calls for report in metrics.reports}
    assert sum(by_sequence.values(), Counter())[LABELS] == sum(calls for calls, _ in rounds)
    assert len(by_sequence) == len(metrics.reports)


async def test_reports_go_on_whatever_happens_to_one() -> None:
    metrics = MetricsDouble()
    tallying = tallying_to(metrics)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        tallying.tally.count(LABELS, 0.1)
        metrics.away = len(slept) == 2
        await asyncio.sleep(0 if len(slept) < 5 else 3600)

    task = asyncio.create_task(tallying.run(sleep))
    await until(lambda: len(slept) == 5)
    task.cancel()

    assert set(slept) == {SECONDS}
    assert [report.sequence for report in metrics.reports] == [1, 2, 3]


async def test_incidents_are_news_of_their_own() -> None:
    metrics = MetricsDouble()
    tallying = tallying_to(metrics)

    tallying.note(Incident.RETRY, "git", "busy")
    await tallying.send()

    assert metrics.reports[0].tally.incidents == {IncidentLabels(Incident.RETRY, "git", "busy"): 1}


async def test_ejections_are_told_as_long_as_they_last_and_once_more_when_they_are_over() -> None:
    metrics = MetricsDouble()
    ejected: dict[str, Collection[str]] = {}
    tallying = Tallying("ingress-1", lambda: metrics, lambda: dict(ejected))  # type: ignore[arg-type, return-value]

    await tallying.send()
    ejected["git"] = ("git:0",)
    await tallying.send()
    await tallying.send()
    ejected.clear()
    await tallying.send()
    await tallying.send()

    assert [report.ejected for report in metrics.reports] == [{"git": ("git:0",)}, {"git": ("git:0",)}, {}]


async def test_of_the_audit_each_report_has_what_is_new_since_the_one_before() -> None:
    metrics = MetricsDouble()
    counts = [AuditCounts()]
    tallying = Tallying("ingress-1", lambda: metrics, audited=lambda: counts[-1])  # type: ignore[arg-type, return-value]

    for now in (AuditCounts(), AuditCounts(4, 0, 0, 2), AuditCounts(4, 0, 0, 2), AuditCounts(9, 3, 1, 0)):
        counts.append(now)
        await tallying.send()

    assert [report.audit for report in metrics.reports] == [AuditCounts(4, 0, 0, 2), AuditCounts(5, 3, 1, 0)]
