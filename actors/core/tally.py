"""What the edge counts, in sums that may be merged in any order, with labels from bounded sets.

Each ingress replica keeps one `Tally`, sends it away as a `Report` every few seconds and starts another. Times are
kept as whole nanoseconds, because sums of floats depend on their order.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from actors.core.breaker import State
from actors.core.incident import Incident, IncidentLabels
from actors.core.link_refusal import Refused
from actors.core.outcome import FailureKind, Outcome, Reply
from actors.core.screening import Screened

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the latency buckets, in seconds: from the gateway's own share of a call to the default timeout."""

METHODS: Final = frozenset(
    {
        "completion/complete",
        "initialize",
        "logging/setLevel",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
        "server/discover",
        "subscriptions/listen",
        "tasks/cancel",
        "tasks/get",
        "tasks/update",
        "tools/call",
        "tools/list",
    }
)
"""Values of the label `method`; clients may send anything, so the rest is `other`."""

OK: Final = "ok"
ERROR: Final = "error"
"""The server answered with a JSON-RPC error."""
ASKED: Final = "asked"
"""The request ended with a question to the client; its retry is counted as another."""
LIMITED: Final = "limited"
"""A rate limit or a quota refused it."""
OTHER: Final = "other"

OUTCOMES: Final = frozenset({OK, ERROR, ASKED, LIMITED, *(kind.value for kind in FailureKind)})
"""Values of the label `outcome`."""

MAX_SERIES: Final = 10_000
"""Calls are counted apart for so many combinations of labels; hundreds of backends need far fewer."""

_NANOSECONDS: Final = 1_000_000_000


class CallLabels(msgspec.Struct, frozen=True, array_like=True):
    """The labels of every per-call metric; each has a bounded set of values."""

    backend: str
    """A configured backend, or empty for what no backend has to do with."""
    method: str
    outcome: str


OVERFLOW: Final = CallLabels(OTHER, OTHER, OTHER)
"""Where calls are counted that would start one series too many."""


@dataclass(slots=True)
class Latencies:
    """How long calls took."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """Calls per bucket, each counted in one only; the last is for those over every bound."""
    nanoseconds: int = 0
    """The sum of all."""


@dataclass(slots=True)
class Tally:
    """Counts since the last report.

    `merge` is associative and commutative as long as fewer than `max_series` series are in play; beyond that the sums
    over all series still are.
    """

    max_series: int = MAX_SERIES
    calls: Counter[CallLabels] = field(default_factory=Counter)
    latencies: dict[tuple[str, str], Latencies] = field(default_factory=dict)
    """By backend and method."""
    responses: Counter[str] = field(default_factory=Counter)
    """HTTP responses by class of status: `2xx`."""
    incidents: Counter[IncidentLabels] = field(default_factory=Counter)

    def count(self, labels: CallLabels, seconds: float) -> None:
        """Account for one call which took so many seconds."""
        if labels not in self.calls:
            labels = self._admitted(_known(labels))
        self.calls[labels] += 1
        latencies = self._latencies(labels)
        latencies.buckets[bisect_left(BOUNDS, seconds)] += 1
        latencies.nanoseconds += max(0, round(seconds * _NANOSECONDS))

    def count_response(self, status: int) -> None:
        """Account for one HTTP response."""
        self.responses[f"{status // 100}xx" if 100 <= status <= 599 else OTHER] += 1

    def note(self, incident: Incident, backend: str, reason: str = "") -> None:
        """Account for something that befell a call."""
        self.incidents[self._noted(IncidentLabels(incident, backend, reason))] += 1

    def merge(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        self.responses.update(other.responses)
        for noted, times in other.incidents.items():
            self.incidents[self._noted(noted)] += times
        for labels, calls in other.calls.items():
            self.calls[self._admitted(labels)] += calls
        for (backend, method), theirs in other.latencies.items():
            ours = self._latencies(CallLabels(backend, method, OTHER))
            ours.buckets = [mine + more for mine, more in zip(ours.buckets, theirs.buckets, strict=True)]
            ours.nanoseconds += theirs.nanoseconds

    def __bool__(self) -> bool:
        return bool(self.calls or self.responses or self.incidents)

    def _noted(self, labels: IncidentLabels) -> IncidentLabels:
        if labels in self.incidents or len(self.incidents) < self.max_series:
            return labels
        return IncidentLabels(labels.incident, OTHER, OTHER)

    def _admitted(self, labels: CallLabels) -> CallLabels:
        return labels if labels in self.calls or len(self.calls) < self.max_series else OVERFLOW

    def _latencies(self, labels: CallLabels) -> Latencies:
        key = (labels.backend, labels.method)
        found = self.latencies.get(key)
        if found is None:
            if len(self.latencies) >= self.max_series:
                key = (OTHER, OTHER)
            found = self.latencies.setdefault(key, Latencies())
        return found


class AuditCounts(msgspec.Struct, frozen=True, array_like=True):
    """What became of events of the audit."""

    written: int = 0
    lost: int = 0
    """There was no room to keep them until they could be written."""
    dropped: int = 0
    """Written, and not sent to syslog or OTLP."""
    waiting: int = 0
    """Not yet known to be written."""

    def since(self, before: "AuditCounts") -> "AuditCounts":
        """How many more these are; what waits is as it is now."""
        return AuditCounts(
            self.written - before.written, self.lost - before.lost, self.dropped - before.dropped, self.waiting
        )


@dataclass(frozen=True, slots=True)
class Report:
    """One tally on its way to Metrics."""

    source: str
    """The process which counted; a restarted one is another source."""
    sequence: int
    """Counts the reports of this source from 1; sent again, a report keeps its number."""
    tally: Tally
    ejected: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The replicas of each backend, by name, which this source left alone when it made the report."""
    audit: AuditCounts = field(default_factory=AuditCounts)
    """Since the report before, if there is an audit."""


class BackendFacts(msgspec.Struct, frozen=True, array_like=True):
    """What is so of one replica of a backend at this moment."""

    backend: str
    replica: int
    up: bool
    restarts: int = 0
    """Times it was started again since it was configured."""
    tools: int = 0
    breaker: State = State.CLOSED
    in_flight: int = 0
    transitions: tuple[int, ...] = ()
    """As in `Load`, of all lives of the replica together."""
    refused: Refused = ()
    """Connections that it did not take for links, in all lives together."""
    findings: tuple[tuple[str, int], ...] = ()
    """Of its backend: how often each `Finding.what` was found in its lists."""
    held: int = 0
    """Of its backend: entries that are not offered because of findings."""

    def of_screened(self, screened: Screened | None) -> "BackendFacts":
        """These, with what was found in the lists of the backend."""
        if screened is None or not screened.findings:
            return self
        findings = tuple(sorted(screened.counts().items()))
        return msgspec.structs.replace(self, findings=findings, held=screened.held)


def outcome_label(outcome: Outcome) -> str:
    """The label `outcome` of a call."""
    if isinstance(outcome, Reply):
        return ERROR if outcome.is_error else OK
    return outcome.kind.value


def _known(labels: CallLabels) -> CallLabels:
    return CallLabels(
        labels.backend,
        labels.method if labels.method in METHODS else OTHER,
        labels.outcome if labels.outcome in OUTCOMES else OTHER,
    )
