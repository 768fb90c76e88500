"""Every setting, once, with its unit and its reason. `serve_app.config` validates files into these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Naming(StrEnum):
    """How tools and prompts are named on the aggregate endpoint."""

    QUALIFIED = "qualified"
    """`<backend>__<name>`, always."""
    ON_COLLISION = "on_collision"
    """The plain name where one backend only has it, else qualified."""
    NONE = "none"
    """The plain name; of several backends with the same name the first in alphabetical order keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StdioEndpoint:
    """A server that is started here and spoken to over its standard streams."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added to a short list of harmless variables; the rest of our environment is not passed on."""
    cwd: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEndpoint:
    """A server behind a URL, spoken to over streamable HTTP."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


Endpoint = StdioEndpoint | HttpEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a backend's breaker trips, and what closes it again."""

    failure_threshold: int = 5
    """Consecutive failures which trip it."""
    open_seconds: float = 30.0
    """How long an open breaker refuses calls before it admits probes."""
    probe_limit: int = 3
    """Probes at once while half-open."""
    successes_to_close: int = 3
    """Consecutive successful probes which close it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """One configured MCP server."""

    name: str
    endpoint: Endpoint
    replicas: int = 1
    """Actors, and for stdio processes, that serve this backend."""
    timeout: float = 60.0
    """Seconds one call may take."""
    start_timeout: float = 30.0
    """Seconds from starting the server to the end of its first listing."""
    concurrency_limit: int = 256
    """Calls in flight per replica; beyond it a call is refused at once."""
    max_message_bytes: int = 16 * 1024 * 1024
    """The largest message accepted from the server."""
    breaker: BreakerSettings = field(default_factory=BreakerSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The gateway itself."""

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
    """`Origin` values accepted besides those of a loopback address."""
    start_concurrency: int = 4
    """Backends that start at once; more would only slow each other."""
    log_format: str = "text"
    """`text` or `json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """One issuer of bearer tokens whom we trust."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256",)
    """Of HS256, RS256, ES256."""
    key_file: str | None = None
    """A PEM public key, or the shared secret of HS256."""
    jwks_url: str | None = None
    leeway_seconds: float = 30.0
    """Tolerated difference between the issuer's clock and ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeySettings:
    """One API key, stored as its hash."""

    name: str
    hash: str = field(repr=False)
    """`sha256:` and 64 hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """Who may come in."""

    issuers: tuple[IssuerSettings, ...] = ()
    api_keys: tuple[ApiKeySettings, ...] = ()
    verdict_seconds: float = 60.0
    """How long an ingress may reuse the verdict on a credential that has no expiry of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration."""

    backends: tuple[BackendSettings, ...]
    server: ServerSettings = field(default_factory=ServerSettings)
    auth: AuthSettings | None = None


NAME_PATTERN: Final = r"(?!.*__)[A-Za-z0-9](?:[A-Za-z0-9_-]{0,30}[A-Za-z0-9])?"
"""A backend's name: part of tool names, which model providers limit to 64 characters. `__` divides it from the tool."""
