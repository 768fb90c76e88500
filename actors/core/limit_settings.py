"""The settings of how much may be asked for. `actors.core.settings` says how they are read."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from actors.core.rules import STRICT, between, require, seconds

MAX_RULES: Final = 100

HELD: Final = ("calls", "sessions", "streams", "websockets")
"""What a principal may have several of at the same time."""

MAX_HELD: Final = 1_000_000


class By(StrEnum):
    """Who has an allowance of their own."""

    GLOBAL = "global"
    """Everyone together."""
    PRINCIPAL = "principal"
    CLIENT = "client"
    """The OAuth client, or the API key."""
    ROLE = "role"
    """All who have the role together."""
    IP = "ip"
    SERVER = "server"
    """The backend that a call goes to."""
    TOOL = "tool"
    """The tool of a backend."""


class Window(StrEnum):
    """How calls are counted."""

    TOKEN_BUCKET = "token_bucket"  # noqa: S105 - the name of an algorithm
    """Up to `burst` at once, and `calls` in every `seconds` on average."""
    SLIDING = "sliding"
    """At most `calls` within any `seconds`, as near as two counters can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """One rate limit: calls beyond it are refused with the time after which another one is admitted."""

    __pydantic_config__: ClassVar = STRICT

    name: str
    """In the `RateLimit` headers, metrics and the audit."""
    calls: int
    seconds: float = 60.0
    burst: int | None = None
    """Of a token bucket: how many at once; as many as `calls` by default."""
    window: Window = Window.TOKEN_BUCKET
    by: tuple[By, ...] = (By.PRINCIPAL,)
    """An allowance for each combination."""
    principals: tuple[str, ...] = ("*",)
    """Whom it is about: globs on subjects and names of API keys."""
    roles: tuple[str, ...] = ("*",)
    servers: tuple[str, ...] = ("*",)
    tools: tuple[str, ...] = ("*",)
    """By the server's own names; with anything but `*`, it is about tool calls only."""

    def __post_init__(self) -> None:
        require(
            (("name",), bool(self.name) and self.name.isascii() and self.name.isprintable(), "must be ASCII text"),
            between("calls", self.calls, 1, 1_000_000_000),
            seconds("seconds", self.seconds),
            between("burst", 1 if self.burst is None else self.burst, 1, 1_000_000_000),
            (
                ("burst",),
                self.burst is None or self.window is Window.TOKEN_BUCKET,
                "is of a token bucket, and this window slides",
            ),
            (("by",), bool(self.by) and len(set(self.by)) == len(self.by), "must be one or more, and none twice"),
            (("by",), By.GLOBAL not in self.by or len(self.by) == 1, "global goes with nothing else"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSettings:
    """How much one principal may have at the same time, in the whole gateway.

    With one ingress replica all of it is counted exactly. With several the Router counts sessions, and is asked before
    each stream and WebSocket; of calls each replica has a share, at first an equal part, but at least one, which
    follows demand and is exact within half a second.
    """

    __pydantic_config__: ClassVar = STRICT

    calls: int | None = None
    sessions: int | None = None
    streams: int | None = None
    """Streams that are open: by GET, of HTTP+SSE, and of `subscriptions/listen`; not answers that are streamed."""
    websockets: int | None = None
    principals: tuple[str, ...] = ("*",)
    roles: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        require(
            ((), any(getattr(self, name) is not None for name in HELD), f"must limit one of {', '.join(HELD)}"),
            *(between(name, getattr(self, name) or 0, 1, MAX_HELD) for name in HELD if getattr(self, name) is not None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Rate limits and quotas."""

    __pydantic_config__: ClassVar = STRICT

    rates: tuple[RateSettings, ...] = ()
    quotas: tuple[QuotaSettings, ...] = ()

    def __post_init__(self) -> None:
        names = [rate.name for rate in self.rates]
        require(
            (("rates",), len(set(names)) == len(names), "must not use one name twice"),
            (("rates",), len(names) <= MAX_RULES, f"must be at most {MAX_RULES}"),
            (("quotas",), len(self.quotas) <= MAX_RULES, f"must be at most {MAX_RULES}"),
        )
