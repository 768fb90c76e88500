"""The frozen, versioned state which the Router publishes to every ingress."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from actors.core.catalogue import Catalogue, transparent
from actors.core.credential_settings import CredentialKind
from actors.core.link_keys import LinkKeys
from actors.core.listing import Facts, Listing
from actors.core.membership import ReplicaState, Status
from actors.core.settings import BackendSettings, Isolation
from actors.core.terms import Terms
from actors.core.tokens.revocations import Revocations
from actors.core.traffic_settings import BalancerSettings, EjectionSettings, RetrySettings, Stickiness


@dataclass(frozen=True)
class BackendView:
    """One backend, as an ingress needs to know it."""

    name: str
    timeout: float
    """Seconds one call may take."""
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """The same for single tools, by their own names."""
    max_timeout: float = 3600.0
    """Seconds after which a call that reports progress is given up even so."""
    park_seconds: float = 300.0
    """Seconds a call may wait for the client's answer to a question."""
    isolation: Isolation = Isolation.SHARED
    balancer: BalancerSettings = field(default_factory=BalancerSettings)
    stickiness: Stickiness = Stickiness.OFF
    """What `auto` comes to, never itself."""
    ejection: EjectionSettings = field(default_factory=EjectionSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    wakes: bool = False
    """There may be no replica because nobody called for long: the first call has one started, and waits for it."""
    start_timeout: float = 30.0
    """Seconds in which such a one is there, or is not to be had."""
    personal: bool = False
    """Each user has to let the gateway act for them there."""
    replicas: tuple[Status, ...] = ()
    """What each said last, without its listing."""
    facts: Facts | None = None
    listing: Listing = field(default_factory=Listing)
    """The last one known; stale while no replica is up."""

    @classmethod
    def of(cls, settings: BackendSettings, replicas: tuple[Status, ...], facts: Facts | None, listing: Listing) -> Self:
        """Of a backend that is configured like this."""
        return cls(
            name=settings.name,
            timeout=settings.timeout,
            timeouts=settings.timeouts,
            max_timeout=settings.max_timeout,
            park_seconds=settings.park_seconds,
            isolation=settings.isolation,
            balancer=settings.balancer,
            stickiness=settings.stickiness,
            ejection=settings.ejection,
            retry=settings.retry,
            wakes=settings.scale.min == 0,
            start_timeout=settings.start_timeout,
            personal=settings.auth is not None and settings.auth.kind is CredentialKind.USER,
            replicas=replicas,
            facts=facts,
            listing=listing,
        )

    @property
    def up(self) -> bool:
        """Whether any replica can take calls."""
        return any(replica.state is ReplicaState.UP for replica in self.replicas)

    @property
    def detail(self) -> str:
        """Why it is not up, for people."""
        return next((replica.detail for replica in self.replicas if replica.detail), "starting")

    @cached_property
    def catalogue(self) -> Catalogue:
        """Its entries under their own names."""
        return transparent(self.name, self.listing)


@dataclass(frozen=True)
class View:
    """What every ingress knows. Older ones are as good as new for established traffic."""

    generation: str = ""
    """Another one for each life of the Router; versions compare within one."""
    version: int = 0
    backends: Mapping[str, BackendView] = field(default_factory=dict)
    """By name, in alphabetical order."""
    catalogue: Catalogue = field(default_factory=Catalogue)
    """The entries of all backends, under the names of the aggregate endpoint."""
    leaving: tuple[Status, ...] = ()
    """Replicas of backends that are there no more: calls which run there may end."""
    prefer_zone: bool = True
    """Whether replicas in an ingress's own zone come first."""
    terms: Terms | None = None
    """What callers may do, and how much; nothing if this Router does not say."""
    revocations: Revocations | None = None
    """What is revoked; nothing if this Router has not heard of it yet."""
    link_keys: LinkKeys | None = None
    """What links are opened with; nothing if this Router was told none yet."""
    closing: bool = False
    """The gateway is about to end: streams that would stay open for ever are ended in good order."""
