"""How a server is reached: one endpoint for each transport, with what the transport needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from actors.core.rules import STRICT, header_rules, require, texts, url_rule
from actors.core.sandbox_settings import SandboxSettings

_IN_HEADERS: Final = "send them in `headers`"


@dataclass(frozen=True, slots=True, kw_only=True)
class StdioEndpoint:
    """A server that is started here and spoken to over its standard streams."""

    __pydantic_config__: ClassVar = STRICT

    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added to a short list of harmless variables; the rest of our environment is not passed on."""
    cwd: str | None = None
    """The folder it runs in; ours, if not given."""
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)

    def __post_init__(self) -> None:
        names_well = all(name and "=" not in name for name in self.env)
        require(
            (("command",), bool(self.command.strip()), "must not be empty"),
            (("cwd",), self.cwd is None or bool(self.cwd.strip()), "must not be empty"),
            (("env",), names_well, "has a variable whose name is empty or holds `=`"),
            texts("command", [self.command]),
            texts("args", self.args),
            texts("env", [*self.env, *self.env.values()]),
            texts("cwd", [self.cwd or ""]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEndpoint:
    """A server behind a URL, spoken to over streamable HTTP."""

    __pydantic_config__: ClassVar = STRICT

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request."""
    sse_fallback: bool = False
    """Whether the URL may be one of HTTP+SSE instead: asked when the server does not take `initialize` there."""

    def __post_init__(self) -> None:
        require(url_rule("url", self.url, instead=_IN_HEADERS), *header_rules(self.headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class SseEndpoint:
    """A server behind a URL, spoken to over HTTP+SSE, the older of the HTTP transports (2024-11-05)."""

    __pydantic_config__: ClassVar = STRICT

    url: str = field(repr=False)
    """Of the stream; the server names the URL for messages itself, and it must be of the same origin."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request."""

    def __post_init__(self) -> None:
        require(url_rule("url", self.url, instead=_IN_HEADERS), *header_rules(self.headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketEndpoint:
    """A server behind a URL, spoken to over a WebSocket."""

    __pydantic_config__: ClassVar = STRICT

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with the request that opens the WebSocket."""

    def __post_init__(self) -> None:
        url_well = url_rule("url", self.url, instead=_IN_HEADERS, schemes=("ws", "wss"))
        require(url_well, *header_rules(self.headers))


Endpoint = StdioEndpoint | HttpEndpoint | SseEndpoint | WebSocketEndpoint
