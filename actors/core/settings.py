"""Every setting, once, with its unit, its reason and its range. `serve_app.config` validates files into these.

Whoever makes one, from a file or by hand, gets a `SettingsError` for what cannot work. What depends on the machine
(commands, folders, key files) is not decided here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, Final

from actors.core.audit_settings import AuditSettings
from actors.core.auth_settings import AuthSettings
from actors.core.credential_settings import CredentialSettings
from actors.core.endpoints import Endpoint, HttpEndpoint
from actors.core.hidden_text import HiddenText
from actors.core.limit_settings import LimitSettings
from actors.core.policy_settings import PolicySettings
from actors.core.rules import STRICT, between, byte_size, clashes, host_well, networks, require, seconds
from actors.core.screening import Pin
from actors.core.tls_settings import TlsSettings
from actors.core.traffic_settings import (
    MAX_REPLICAS,
    BalancerSettings,
    BreakerSettings,
    EjectionSettings,
    HealthSettings,
    PlacementSettings,
    PoolUrl,
    ResourceSettings,
    RetrySettings,
    RuntimeEnv,
    ScaleSettings,
    Stickiness,
)

NAME_PATTERN: Final = r"(?!.*__)[A-Za-z0-9](?:[A-Za-z0-9_-]{0,30}[A-Za-z0-9])?"
"""A backend's name: part of tool names, which model providers limit to 64 characters. `__` divides it from the tool."""

NAME_SENTENCE: Final = (
    "a name has 1 to 32 letters, digits, `-` and `_`, begins and ends with a letter or digit, and holds no `__`"
)

AUTH_SENTENCE: Final = "belongs to a server of the type http"

PRINCIPAL_SENTENCE: Final = "must be `principal`, or left out: each caller has an own token"

LOG_FORMATS: Final = ("text", "json")

MAX_SESSIONS: Final = 50_000
"""Downstream sessions of the whole gateway: the Router keeps about a kilobyte for each."""

MAX_MESSAGE_BYTES: Final = 31 * 1024 * 1024
"""A message crosses the bus in one frame with a little around it, and a frame has at most 32 MiB."""

_ALLOWED_HOST_PATTERN: Final = r"[^\s/@]+"
_ORIGIN_PATTERN: Final = r"\*|null|[a-z][a-z0-9+.-]*://[^\s/@]+"


class Naming(StrEnum):
    """How tools and prompts are named on the aggregate endpoint."""

    QUALIFIED = "qualified"
    """`<backend>__<name>`, always."""
    ON_COLLISION = "on_collision"
    """The plain name where one backend only has it, else qualified."""
    NONE = "none"
    """The plain name; of several backends with the same name the first in alphabetical order keeps it."""


class Isolation(StrEnum):
    """Who shares a conversation with the server, and what the server keeps for it."""

    SHARED = "shared"
    """Everyone shares one conversation with the server; over the network, everyone whom it can ask the same."""
    SESSION = "session"
    """Each downstream session has its own."""
    PRINCIPAL = "principal"
    """Each principal has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """One configured MCP server."""

    __pydantic_config__: ClassVar = STRICT

    name: str
    endpoint: Endpoint
    auth: CredentialSettings | None = None
    """Where the tokens come from that the server wants; over streamable HTTP only."""
    urls: tuple[PoolUrl, ...] = ()
    """Several servers that are all the same, a replica for each; `endpoint` is the first then."""
    replicas: int | ScaleSettings = 1
    """Actors, and for stdio processes, that serve this backend; or how many there may be."""
    timeout: float = 60.0
    """Seconds one call may take."""
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """The same for single tools, by their own names."""
    reset_on_progress: bool = True
    """Whether a call that reports progress gets its time anew."""
    max_timeout: float = 3600.0
    """Seconds after which a call is given up even so."""
    start_timeout: float = 30.0
    """Seconds from starting the server to the end of its first listing."""
    concurrency_limit: int = 256
    """Calls in flight per replica; beyond it calls wait."""
    queue_limit: int = 64
    """Calls per replica that wait for their turn; beyond it calls are refused at once."""
    queue_seconds: float = 5.0
    """How long one waits at most before it is refused."""
    max_message_bytes: int = 16 * 1024 * 1024
    """The largest message accepted from the server."""
    isolation: Isolation = Isolation.SHARED
    """Who shares a conversation with the server; over stdio each conversation is a process."""
    max_conversations: int = 64
    """Conversations of each replica beyond the shared one; further sessions or principals are refused."""
    conversation_idle_seconds: float = 600.0
    """How long a conversation beyond the shared one is kept without a call."""
    park_seconds: float = 300.0
    """How long a call waits for the client's answer to a question of the server."""
    max_parked: int = 256
    """Calls of each replica that wait for such an answer; further ones fail."""
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    balancer: BalancerSettings = field(default_factory=BalancerSettings)
    sticky: Stickiness = Stickiness.AUTO
    ejection: EjectionSettings = field(default_factory=EjectionSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    resources: ResourceSettings | None = None
    """What each replica needs of its node; one with needs of its own has a process of its own."""
    runtime_env: RuntimeEnv = field(default_factory=dict)
    """What Ray installs and sets for the process of each replica, and so for a stdio server in it."""
    placement: PlacementSettings = field(default_factory=PlacementSettings)
    pin: Pin = Pin.OFF
    """Whether a tool whose definition is not the one that was there first, or was accepted, is offered."""
    hidden_characters: HiddenText = HiddenText.FLAG
    """What becomes of text in lists that people do not see."""

    @property
    def scale(self) -> ScaleSettings:
        """The number of replicas as a range: a fixed one has equal ends."""
        if isinstance(self.replicas, ScaleSettings):
            return self.replicas
        fixed = len(self.urls) or self.replicas
        return ScaleSettings(min=fixed, max=fixed)

    @property
    def stickiness(self) -> Stickiness:
        """What `auto` comes to here."""
        if self.sticky is not Stickiness.AUTO:
            return self.sticky
        return Stickiness.OFF if self.isolation is Isolation.SHARED else Stickiness.HARD

    @property
    def has_own_process(self) -> bool:
        """Whether its replicas may not share a process with others."""
        return self.resources is not None or bool(self.runtime_env) or self.placement != PlacementSettings()

    def of_slot(self, slot: int) -> tuple["BackendSettings", float]:
        """The settings of the replica that has this place in a pool of URLs, and its weight; `slot` counts from 0."""
        if not self.urls or not isinstance(self.endpoint, HttpEndpoint):
            return self, 1.0
        member = self.urls[slot % len(self.urls)]
        return replace(self, endpoint=replace(self.endpoint, url=member.url)), member.weight

    def __post_init__(self) -> None:
        fixed = self.replicas if isinstance(self.replicas, int) else self.replicas.max
        auth_well = self.auth is None or isinstance(self.endpoint, HttpEndpoint)
        headers = self.endpoint.headers if isinstance(self.endpoint, HttpEndpoint) else {}
        alone = self.auth is None or not any(name.lower() == "authorization" for name in headers)
        per_principal = self.auth is not None and self.auth.is_per_principal
        pooled_well = not self.urls or (self.replicas == 1 and isinstance(self.endpoint, HttpEndpoint))
        require(
            (("name",), bool(re.fullmatch(NAME_PATTERN, self.name)), NAME_SENTENCE),
            (("auth",), auth_well, AUTH_SENTENCE),
            (("headers", "Authorization"), alone, "must not be given beside `auth`"),
            (("isolation",), not per_principal or self.isolation is Isolation.PRINCIPAL, PRINCIPAL_SENTENCE),
            between("replicas", fixed, 1, MAX_REPLICAS),
            (("urls",), pooled_well, "has a replica for each: leave `replicas` out"),
            (("urls",), len(self.urls) <= MAX_REPLICAS, f"must be at most {MAX_REPLICAS}"),
            seconds("timeout", self.timeout),
            *(seconds("timeouts", limit) for limit in self.timeouts.values()),
            seconds("max_timeout", self.max_timeout),
            between("queue_limit", self.queue_limit, 0, 100_000),
            seconds("queue_seconds", self.queue_seconds),
            seconds("start_timeout", self.start_timeout),
            between("concurrency_limit", self.concurrency_limit, 1, 100_000),
            byte_size("max_message_bytes", self.max_message_bytes, MAX_MESSAGE_BYTES),
            between("max_conversations", self.max_conversations, 1, 10_000),
            seconds("conversation_idle_seconds", self.conversation_idle_seconds),
            seconds("park_seconds", self.park_seconds),
            between("max_parked", self.max_parked, 1, 100_000),
        )


MIN_LINK_KEY_SECONDS: Final = 60.0
"""Three times what a key may take until all dial with it (`actors.link_key_desk`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The gateway itself."""

    __pydantic_config__: ClassVar = STRICT

    host: str = "127.0.0.1"
    port: int = 8080
    naming: Naming = Naming.QUALIFIED
    replicas: int = 1
    """Ingress replicas."""
    drain_seconds: float = 10.0
    """How long running calls may still take when the gateway stops."""
    max_body_bytes: int = 4 * 1024 * 1024
    """The largest request body; larger ones get 413."""
    allowed_hosts: tuple[str, ...] = ()
    """`Host` values accepted besides those of a loopback address; any, if empty and bound to another address."""
    allowed_origins: tuple[str, ...] = ()
    """`Origin` values accepted besides the gateway's own, and any loopback one if it is bound to a loopback address."""
    tls: TlsSettings | None = None
    """How clients reach it encrypted; without this somebody before the gateway has to see to that."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of the proxies before the gateway; only what these say of whom they saw is believed."""
    start_concurrency: int = 4
    """Backends that start at once; more would only slow each other."""
    link_key_seconds: float = 86_400.0
    """How long the keys of links between its processes are the newest before others are made; 0 for ever."""
    session_idle_seconds: float = 1800.0
    """How long a downstream session is kept that nobody uses."""
    density: int | None = None
    """Backends that share one Ray process; by default 1 while they are few, and more beyond."""
    prefer_zone: bool = True
    """Whether replicas in the zone of the ingress come first, as long as one of them takes calls."""
    state_file: str | None = None
    """Where catalogue, sessions and added servers are kept between runs: by default in the user's folder for state."""
    watch_config: bool = True
    """Whether a changed configuration file is applied at once."""
    max_sessions: int = 10_000
    """Downstream sessions of each principal at each endpoint; one more ends the one longest unused."""
    log_format: str = "text"
    """`text` or `json`."""

    @property
    def origin(self) -> str:
        """Scheme, host and port of the gateway's URLs."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}"

    def __post_init__(self) -> None:
        hosts_well = all(re.fullmatch(_ALLOWED_HOST_PATTERN, host) for host in self.allowed_hosts)
        origins_well = all(re.fullmatch(_ORIGIN_PATTERN, origin) for origin in self.allowed_origins)
        require(
            (("host",), host_well(self.host), "must be an address or a host name, without a port"),
            between("port", self.port, 1, 65_535),
            between("replicas", self.replicas, 1, MAX_REPLICAS),
            seconds("drain_seconds", self.drain_seconds, zero=True),
            byte_size("max_body_bytes", self.max_body_bytes),
            (("allowed_hosts",), hosts_well, "must hold host names, with or without a port, and no URLs"),
            (("allowed_origins",), origins_well, "must hold origins like https://example.com, without a path"),
            networks("trusted_proxies", self.trusted_proxies),
            between("start_concurrency", self.start_concurrency, 1, 1000),
            between("density", 1 if self.density is None else self.density, 1, 1000),
            seconds("link_key_seconds", self.link_key_seconds, zero=True),
            (
                ("link_key_seconds",),
                self.link_key_seconds == 0 or self.link_key_seconds >= MIN_LINK_KEY_SECONDS,
                f"must be 0 or at least {MIN_LINK_KEY_SECONDS:.0f} seconds: a new key takes seconds to get everywhere",
            ),
            seconds("session_idle_seconds", self.session_idle_seconds),
            between("max_sessions", self.max_sessions, 1, MAX_SESSIONS),
            (("log_format",), self.log_format in LOG_FORMATS, "must be text or json"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration."""

    __pydantic_config__: ClassVar = STRICT

    backends: tuple[BackendSettings, ...]
    server: ServerSettings = field(default_factory=ServerSettings)
    auth: AuthSettings | None = None
    policy: PolicySettings | None = None
    limits: LimitSettings = field(default_factory=LimitSettings)
    audit: AuditSettings | None = None

    def __post_init__(self) -> None:
        clashing = clashes(backend.name for backend in self.backends)
        require((("backends",), not clashing, "must have names that differ in more than upper and lower case"))
