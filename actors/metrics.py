"""The totals of the whole gateway, as Prometheus reads them.

Tallies come from the ingress replicas, facts about backends from the Router; both only tell, and nothing here waits.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

from prometheus_client.core import CollectorRegistry, Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from actors.core.breaker import Event, State
from actors.core.incident import Incident, IncidentLabels
from actors.core.link_refusal import REFUSALS, LinkRefusal
from actors.core.tally import BOUNDS, AuditCounts, BackendFacts, Report, Tally

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""What `Metrics.render` returns."""

MAX_SOURCES: Final = 1_000
"""Sources remembered; beyond it the one unheard of for longest is forgotten, and could then repeat itself."""

MAX_AHEAD: Final = 64
"""Reports of one source that may overtake another; one still missing then is taken for lost."""

SILENT_SECONDS: Final = 60.0
"""A source unheard of for so long is no longer counted as reporting: a dozen reports are missing."""

_number: Final[Callable[[float], str]] = floatToGoString
_UPPER_BOUNDS: Final = (*map(_number, BOUNDS), "+Inf")
_UNMOVED: Final = (0,) * len(Event)
_NEVER_REFUSED: Final = (0,) * len(REFUSALS)

_COUNTERS: Final = {
    Incident.HEDGE: ("hedges", "Second attempts at calls, begun while the first went on."),
    Incident.HEDGE_WON: ("hedges_won", "Second attempts that were heard of first."),
    Incident.EJECTION: ("ejections", "Times that an ingress replica began to leave a replica alone."),
    Incident.SESSION_LOST: ("sessions_lost", "Bound sessions that were told that their state is gone."),
}
"""The name and the meaning of what is counted by backend alone."""

_AUDIT_RESULTS: Final = ("written", "lost", "dropped")
"""The sums of `AuditCounts`."""


class Metrics:
    """Adds up reports and renders them. A plain class: it is made an actor elsewhere, tests use it as it is."""

    def __init__(self, *, version: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._version = version
        self._clock = clock
        self._total = Tally()
        self._audit: Counter[str] = Counter()
        self._sources: dict[str, _Source] = {}
        self._facts: tuple[BackendFacts, ...] = ()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def report(self, report: Report) -> None:
        """Add a report to the totals, unless this very report was added before."""
        source = self._sources.pop(report.source, None) or _Source()
        self._sources[report.source] = source  # at the end: the dictionary is in the order of last contact
        source.heard_at = self._clock()
        if len(self._sources) > MAX_SOURCES:
            del self._sources[next(iter(self._sources))]
        if source.admit(report.sequence):
            self._total.merge(report.tally)
            for result in _AUDIT_RESULTS:
                self._audit[result] += getattr(report.audit, result)
        if report.sequence >= source.latest:
            source.latest, source.ejected, source.audit = report.sequence, report.ejected, report.audit

    def observe(self, backends: Sequence[BackendFacts]) -> None:
        """Replace what is known of all backends."""
        self._facts = tuple({(facts.backend, facts.replica): facts for facts in backends}.values())

    def render(self) -> bytes:
        """Everything in the text format of Prometheus, version 0.0.4.

        The very bytes of `prometheus_client.generate_latest`, in less than half its time: with a hundred backends the
        difference is over ten milliseconds in which no report is taken.
        """
        return "".join(map(_text, self._registry.collect())).encode()

    def collect(self) -> Iterator[Metric]:
        """Give the metrics to the `prometheus_client` registry; labels are in alphabetical order."""
        silent_since = self._clock() - SILENT_SECONDS
        reporting = [source for source in self._sources.values() if source.heard_at > silent_since]
        yield from self._calls()
        yield from self._backends()
        yield from self._incidents(reporting)
        yield from self._audited(reporting)
        heard = len(reporting)
        yield _metric("metrics_sources", "gauge", "Ingress replicas that reported within a minute.", [({}, heard)])
        build = [({"version": self._version}, 1)]
        yield _metric("build_info", "gauge", "The version of the gateway.", build)

    def _calls(self) -> Iterator[Metric]:
        yield _metric(
            "requests",
            "counter",
            "Calls to backends, by what became of them.",
            [
                ({"backend": labels.backend, "method": labels.method, "outcome": labels.outcome}, calls)
                for labels, calls in self._total.calls.items()
            ],
        )
        yield self._durations()
        responses = [({"status": status}, count) for status, count in sorted(self._total.responses.items())]
        yield _metric("http_responses", "counter", "HTTP responses to clients, by class of status.", responses)

    def _durations(self) -> Metric:
        metric = _metric("request_duration_seconds", "histogram", "Time from receiving a call to its outcome.", [])
        bucket, count, total = (f"{metric.name}_{suffix}" for suffix in ("bucket", "count", "sum"))
        samples = metric.samples
        for (backend, method), latencies in self._total.latencies.items():
            calls = 0
            for bound, calls in zip(_UPPER_BOUNDS, accumulate(latencies.buckets), strict=True):
                samples.append(Sample(bucket, {"backend": backend, "le": bound, "method": method}, calls))
            labels = {"backend": backend, "method": method}
            samples.append(Sample(count, labels, calls))
            samples.append(Sample(total, labels, latencies.nanoseconds / 1e9))
        return metric

    def _backends(self) -> Iterator[Metric]:
        replicas = [({"backend": facts.backend, "replica": str(facts.replica)}, facts) for facts in self._facts]
        up = [(labels, float(facts.up)) for labels, facts in replicas]
        yield _metric("backend_up", "gauge", "Whether a replica can take calls: its server runs and is well.", up)
        restarts = [(labels, facts.restarts) for labels, facts in replicas]
        yield _metric("backend_restarts", "counter", "Starts of a server after the first, in vain or not.", restarts)
        in_flight = [(labels, facts.in_flight) for labels, facts in replicas]
        yield _metric("backend_in_flight", "gauge", "Calls a replica is working on.", in_flight)
        tools: dict[str, int] = {}
        for facts in self._facts:
            tools[facts.backend] = max(facts.tools, tools.get(facts.backend, 0))
        counts = [({"backend": backend}, count) for backend, count in tools.items()]
        yield _metric("backend_tools", "gauge", "Tools a backend offers.", counts)
        found = {(facts.backend, what): count for facts in self._facts for what, count in facts.findings}
        findings = [({"backend": backend, "finding": what}, count) for (backend, what), count in found.items()]
        yield _metric("definition_findings", "gauge", "What the owner should know of a server's lists.", findings)
        held = _by_backend({facts.backend: facts.held for facts in self._facts})
        yield _metric("definitions_held", "gauge", "Entries of lists that are not offered because of it.", held)
        states = [
            (labels | {"state": state.value}, float(facts.breaker is state))
            for labels, facts in replicas
            for state in State
        ]
        yield _metric("breaker_state", "gauge", "1 for the state a replica's breaker is in.", states)
        transitions = [
            ({"backend": facts.backend, "event": event.value, "replica": str(facts.replica)}, count)
            for facts in self._facts
            for event, count in zip(Event, facts.transitions or _UNMOVED, strict=True)
        ]
        yield _metric("breaker_transitions", "counter", "What a replica's breaker was moved by.", transitions)
        yield self._links_refused()

    def _links_refused(self) -> Metric:
        """Those of ingress replicas, all together, are of no backend."""
        counts = {("", ""): tuple(self._total.incidents[_refused_at_door(why)] for why in REFUSALS)}
        counts |= {(facts.backend, str(facts.replica)): facts.refused or _NEVER_REFUSED for facts in self._facts}
        samples = [
            ({"backend": backend, "reason": why.value, "replica": replica}, count)
            for (backend, replica), each in counts.items()
            for why, count in zip(REFUSALS, each, strict=True)
        ]
        return _metric("links_refused", "counter", "Connections of strangers that were not taken for links.", samples)

    def _incidents(self, reporting: Sequence["_Source"]) -> Iterator[Metric]:
        retries = [
            ({"backend": noted.backend, "reason": noted.reason}, times)
            for noted, times in self._total.incidents.items()
            if noted.incident is Incident.RETRY
        ]
        yield _metric("retries", "counter", "Further attempts at calls, by the failure of the one before.", retries)
        limited = [
            ({"backend": noted.backend, "limit": noted.reason}, times)
            for noted, times in self._total.incidents.items()
            if noted.incident is Incident.LIMITED
        ]
        yield _metric("limited", "counter", "Requests that a rate limit or a quota refused.", limited)
        # what has not happened yet is 0: of a counter that begins with 1, nobody would see that it has grown
        backends = dict.fromkeys(facts.backend for facts in self._facts)
        for incident, (name, documentation) in _COUNTERS.items():
            counts = dict.fromkeys(backends, 0)
            for noted, times in self._total.incidents.items():
                if noted.incident is incident:
                    counts[noted.backend] = counts.get(noted.backend, 0) + times
            yield _metric(name, "counter", documentation, _by_backend(counts))
        ejected: dict[str, set[str]] = {backend: set() for backend in backends}
        for source in reporting:
            for backend, replicas in source.ejected.items():
                ejected.setdefault(backend, set()).update(replicas)
        active = _by_backend({backend: len(replicas) for backend, replicas in ejected.items()})
        yield _metric("ejections_active", "gauge", "Replicas that an ingress replica leaves alone now.", active)

    def _audited(self, reporting: Sequence["_Source"]) -> Iterator[Metric]:
        events = [({"result": result}, self._audit[result]) for result in _AUDIT_RESULTS]
        yield _metric("audit_events", "counter", "Events of the audit, by what became of them.", events)
        waiting = sum(source.audit.waiting for source in reporting)
        yield _metric("audit_waiting", "gauge", "Events of the audit that are not yet written.", [({}, waiting)])


class _Source:
    """Which reports of one source have been added."""

    def __init__(self) -> None:
        self.heard_at = 0.0
        self.latest = 0
        """The highest number of a report."""
        self.ejected: Mapping[str, Collection[str]] = {}
        """As that report said."""
        self.audit = AuditCounts()
        """As that report said."""
        self._through = 0
        self._ahead: set[int] = set()

    def admit(self, sequence: int) -> bool:
        if sequence <= self._through or sequence in self._ahead:
            return False
        self._ahead.add(sequence)
        if len(self._ahead) > MAX_AHEAD:
            self._through = min(self._ahead) - 1
        while self._through + 1 in self._ahead:
            self._through += 1
            self._ahead.remove(self._through)
        return True


def _refused_at_door(why: LinkRefusal) -> IncidentLabels:
    return IncidentLabels(Incident.LINK_REFUSED, "", why.value)


def _metric(name: str, kind: str, documentation: str, values: Sequence[tuple[dict[str, str], float]]) -> Metric:
    metric = Metric(f"only1mcp_{name}", documentation, kind)
    sample = f"{metric.name}_total" if kind == "counter" else metric.name
    metric.samples = [Sample(sample, labels, value) for labels, value in values]
    return metric


def _by_backend(values: Mapping[str, float]) -> list[tuple[dict[str, str], float]]:
    return [({"backend": backend}, value) for backend, value in values.items()]


def _text(metric: Metric) -> str:
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    lines = [f"# HELP {name} {metric.documentation}\n# TYPE {name} {metric.type}\n"]
    for sample in metric.samples:
        labels = ",".join([f'{key}="{_escaped(value)}"' for key, value in sample.labels.items()])
        braced = f"{{{labels}}}" if labels else ""
        lines.append(f"{sample.name}{braced} {_number(sample.value)}\n")
    return "".join(lines)


@lru_cache(maxsize=4096)
def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
