"""The settings of how traffic reaches the replicas of a backend, and of what happens when they fail.

See `actors.core.settings` for how they are read, and for the one who holds them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final

from actors.core.rules import MAX_SECONDS, STRICT, between, require, seconds, url_rule

MAX_REPLICAS: Final = 100
"""Each may be a process of some 60 MB: a greater number is a slip of the pen."""

MAX_WEIGHT: Final = 1000.0

_KEY_PATTERN: Final = r"session|principal|tool|header:[A-Za-z0-9-]+|argument:.+"


class Balancing(StrEnum):
    """How a replica is chosen among those that may serve a request."""

    LEAST = "least"
    """The less loaded of two taken by chance."""
    ROUND_ROBIN = "round_robin"
    """In turns, by weight."""
    HASH = "hash"
    """Consistent hashing of the configured key."""
    RANDOM = "random"
    WEIGHTED_RANDOM = "weighted_random"
    PEAK_EWMA = "peak_ewma"
    """The one that promises to answer sooner, of two taken by chance."""


class Stickiness(StrEnum):
    """Whether calls of one session come to one replica."""

    AUTO = "auto"
    """Hard where conversations are isolated, else off."""
    OFF = "off"
    SOFT = "soft"
    """The same replica as long as it takes calls, and then another."""
    HARD = "hard"
    """Bound to one replica; when that is lost the client is told, and is bound anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a replica's breaker trips, and what closes it again."""

    __pydantic_config__: ClassVar = STRICT

    failure_threshold: int = 5
    """Consecutive failures which trip it."""
    error_rate: float = 0.5
    """The share of failures among the calls of the window which trips it."""
    window_seconds: float = 30.0
    """How far the window reaches back."""
    min_calls: int = 20
    """Calls in the window below which its rate says nothing."""
    open_seconds: float = 30.0
    """How long an open breaker refuses calls before it admits probes; doubled each time that a probe fails."""
    max_open_seconds: float = 300.0
    """The cap on that."""
    probe_limit: int = 3
    """Probes at once while half-open."""
    successes_to_close: int = 3
    """Consecutive successful probes which close it."""

    def __post_init__(self) -> None:
        require(
            between("failure_threshold", self.failure_threshold, 1, 1000),
            (("error_rate",), 0 < self.error_rate <= 1, "must be more than 0 and at most 1"),
            seconds("window_seconds", self.window_seconds),
            between("min_calls", self.min_calls, 1, 100_000),
            seconds("open_seconds", self.open_seconds),
            seconds("max_open_seconds", self.max_open_seconds),
            between("probe_limit", self.probe_limit, 1, 1000),
            between("successes_to_close", self.successes_to_close, 1, 1000),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerSettings:
    """How the replicas of a backend share its calls."""

    __pydantic_config__: ClassVar = STRICT

    kind: Balancing = Balancing.LEAST
    key: str = "session"
    """What `hash` hashes: `session`, `principal`, `tool`, `header:<name>` or `argument:<name>`."""

    def __post_init__(self) -> None:
        sentence = "must be session, principal, tool, header:<name> or argument:<name>"
        require((("key",), bool(re.fullmatch(_KEY_PATTERN, self.key)), sentence))


@dataclass(frozen=True, slots=True, kw_only=True)
class EjectionSettings:
    """When an ingress leaves a replica alone that fails its calls."""

    __pydantic_config__: ClassVar = STRICT

    failures: int = 5
    """Consecutive failures which eject it."""
    seconds: float = 30.0
    """For how long, times the number of its ejections in a row."""
    max_share: float = 0.5
    """No more than this share of a backend's replicas is ejected: with more gone the cause is elsewhere."""

    def __post_init__(self) -> None:
        require(
            between("failures", self.failures, 1, 1000),
            seconds("seconds", self.seconds),
            (("max_share",), 0 <= self.max_share <= 1, "must be 0 to 1"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """How a replica asks its server whether it is well."""

    __pydantic_config__: ClassVar = STRICT

    enabled: bool = True
    interval: float = 10.0
    """Seconds between two checks, spread by a tenth."""
    timeout: float = 5.0
    """Seconds a check may take."""
    healthy_after: int = 2
    """Checks passed in a row which make an unhealthy server healthy."""
    unhealthy_after: int = 3
    """Checks failed in a row which make a server unhealthy."""

    def __post_init__(self) -> None:
        require(
            seconds("interval", self.interval),
            seconds("timeout", self.timeout),
            between("healthy_after", self.healthy_after, 1, 100),
            between("unhealthy_after", self.unhealthy_after, 1, 100),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """What is tried again, and how often."""

    __pydantic_config__: ClassVar = STRICT

    max_attempts: int = 3
    """Attempts at one call in all; 1 is no retry."""
    budget: float = 0.2
    """Retries as a share of the calls of the last ten seconds; a few are always allowed."""
    backoff: float = 0.05
    """Seconds before the first retry on a replica that was tried already, spread and doubled each time."""
    hedge_after: float | None = None
    """Seconds after which a call that only reads is sent to a second replica, too; the first answer counts."""

    def __post_init__(self) -> None:
        hedged_well = self.hedge_after is None or 0 < self.hedge_after <= MAX_SECONDS
        require(
            between("max_attempts", self.max_attempts, 1, 10),
            (("budget",), 0 <= self.budget <= 1, "must be 0 to 1"),
            seconds("backoff", self.backoff),
            (("hedge_after",), hedged_well, "must be more than 0 seconds, and at most a day"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSettings:
    """How many replicas there are, by how much there is to do."""

    __pydantic_config__: ClassVar = STRICT

    min: int = 1
    """0 lets an idle backend end; the next call starts it, and waits."""
    max: int
    target_in_flight: float = 8.0
    """Calls in flight for each replica which the number of replicas is chosen for."""
    idle_timeout: float = 300.0
    """Seconds without a call after which there are `min` replicas."""

    def __post_init__(self) -> None:
        require(
            between("min", self.min, 0, MAX_REPLICAS),
            (("max",), max(self.min, 1) <= self.max <= MAX_REPLICAS, f"must be min to {MAX_REPLICAS}, and at least 1"),
            (("target_in_flight",), 0 < self.target_in_flight <= 100_000, "must be more than 0, and at most 100000"),
            seconds("idle_timeout", self.idle_timeout),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUrl:
    """One of several servers that are all the same."""

    __pydantic_config__: ClassVar = STRICT

    url: str = field(repr=False)
    weight: float = 1.0
    """Its share of the calls, against the others'."""

    def __post_init__(self) -> None:
        require(
            url_rule("url", self.url, instead="put them into `headers`"),
            (("weight",), 0 < self.weight <= MAX_WEIGHT, f"must be more than 0, and at most {MAX_WEIGHT:g}"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSettings:
    """What a replica needs of the node that it runs on; Ray finds one, or has one added."""

    __pydantic_config__: ClassVar = STRICT

    num_cpus: float = 0.0
    num_gpus: float = 0.0
    memory: int = 0
    """Bytes."""
    custom: Mapping[str, float] = field(default_factory=dict)
    """Resources that the nodes of this cluster were given names for."""

    def __post_init__(self) -> None:
        amounts = (self.num_cpus, self.num_gpus, float(self.memory), *self.custom.values())
        require(((), all(0 <= amount < float("inf") for amount in amounts), "must hold amounts, and none below 0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementSettings:
    """Where the replicas of a backend go."""

    __pydantic_config__: ClassVar = STRICT

    strategy: str = "pack"
    """`pack`: where there is room, fewest nodes first; `spread`: over all nodes."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What a node's labels must be."""

    def __post_init__(self) -> None:
        require((("strategy",), self.strategy in ("pack", "spread"), "must be pack or spread"))


RuntimeEnv = Mapping[str, Any]
"""Ray's `runtime_env`: `pip`, `env_vars`, `working_dir` and the like."""
