"""The settings of one permission, and of the conditions under which it holds. See `actors.core.policy_settings`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from ipaddress import ip_network
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from actors.core.rules import STRICT, require, seconds

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

ADMIN_ACTIONS: Final = (
    "servers:read",
    "servers:write",
    "breakers:write",
    "reload",
    "metrics:read",
    "tokens:read",
    "tokens:write",
    "keys:read",
    "keys:write",
    "policy:read",
    "audit:read",
)
"""What there is to administrate; permissions name them, with globs."""

ANNOTATIONS: Final = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")

_TIME_PATTERN: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSettings:
    """Times of the week. One whose `until` is not after its `start` ends on the next day."""

    __pydantic_config__: ClassVar = STRICT

    start: str = "00:00"
    """`HH:MM`, on the clock of `zone`."""
    until: str = "24:00"
    """`HH:MM`, no longer part of it."""
    days: tuple[str, ...] = DAYS
    """The days on which it starts: `mon` to `sun`."""
    zone: str = "UTC"
    """A time zone by its IANA name, such as `Europe/Paris`."""

    def __post_init__(self) -> None:
        days_well = bool(self.days) and all(day in DAYS for day in self.days)
        require(
            *(
                ((name,), bool(re.fullmatch(_TIME_PATTERN, value)), "must be a time like 09:30, in quotes")
                for name, value in (("start", self.start), ("until", self.until))
            ),
            (("days",), days_well, f"must be one or more of {', '.join(DAYS)}"),
            (("zone",), _is_zone(self.zone), "is not a time zone of this machine"),
        )

    @property
    def start_minute(self) -> int:
        """Minutes after midnight."""
        return _minutes(self.start)

    @property
    def until_minute(self) -> int:
        """Minutes after midnight; of the next day if it is not greater than `start_minute`."""
        return _minutes(self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class MfaSettings:
    """How a person must have proved who they are. A token that does not say so has not."""

    __pydantic_config__: ClassVar = STRICT

    amr: tuple[str, ...] = ()
    """Methods (RFC 8176), one of which must be in the token's `amr`."""
    acr: tuple[str, ...] = ()
    """Classes, one of which must be the token's `acr`."""
    max_age: float | None = None
    """Seconds since the token's `auth_time`, at most."""

    def __post_init__(self) -> None:
        said = bool(self.amr or self.acr or self.max_age is not None)
        require(
            ((), said, "must demand something: amr, acr or max_age"),
            *([] if self.max_age is None else [seconds("max_age", self.max_age)]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionSettings:
    """What must be the case besides, all of it; of several windows or networks one is enough."""

    __pydantic_config__: ClassVar = STRICT

    networks: tuple[str, ...] = ()
    """Addresses or CIDR networks one of which the request comes from."""
    windows: tuple[WindowSettings, ...] = ()
    mfa: MfaSettings | None = None
    annotations: Mapping[str, bool] = field(default_factory=dict)
    """Hints of a tool that must have these values.

    One that a tool does not give has the default of the MCP schema; what only reads is not destructive, and may be
    repeated. Hints are the server's own claims: who goes by them trusts the server."""
    arguments: Mapping[str, Any] | None = None
    """A JSON Schema that the arguments of the call fit."""

    def __post_init__(self) -> None:
        said = bool(self.networks or self.windows or self.mfa or self.annotations or self.arguments is not None)
        require(
            ((), said, "must demand something"),
            (("networks",), all(map(_is_network, self.networks)), "must hold addresses and networks like 10.0.0.0/8"),
            (("annotations",), set(self.annotations) <= set(ANNOTATIONS), f"knows {', '.join(ANNOTATIONS)}"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionSettings:
    """What a rule is about. Every entry is a glob: `*` stands for any text, and `?` for any character.

    `servers` narrows the other kinds, of which at least one is named; `admin` has nothing to do with servers.
    """

    __pydantic_config__: ClassVar = STRICT

    name: str = ""
    """For people: what `policy explain` and the audit call it; by default the role and its place there."""
    servers: tuple[str, ...] = ("*",)
    tools: tuple[str, ...] = ()
    """By the server's own names."""
    prompts: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    """By the server's own URIs."""
    methods: tuple[str, ...] = ()
    """Of the protocol, besides those that the entries above imply; such as `completion/complete`."""
    admin: tuple[str, ...] = ()
    """Of `ADMIN_ACTIONS`."""
    when: ConditionSettings | None = None

    def __post_init__(self) -> None:
        named = bool(self.tools or self.prompts or self.resources or self.methods or self.admin)
        about_calls = self.when is None or not self.when.annotations or bool(self.tools)
        with_arguments = self.when is None or self.when.arguments is None or bool(self.tools or self.prompts)
        require(
            ((), named, "must name tools, prompts, resources, methods or admin actions"),
            (("servers",), bool(self.servers), "must not be empty"),
            (("when", "annotations"), about_calls, "are of tools, and none is named"),
            (("when", "arguments"), with_arguments, "are of tools and prompts, and none is named"),
        )


def _minutes(text: str) -> int:
    if text == "24:00":
        return 24 * 60
    at = time.fromisoformat(text)
    return at.hour * 60 + at.minute


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
