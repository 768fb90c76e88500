"""Policies, principals and actions by chance. Names are few and short, so that they have something to do with each
other."""

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from actors.core.permission_settings import (
    ADMIN_ACTIONS,
    DAYS,
    ConditionSettings,
    MfaSettings,
    PermissionSettings,
    WindowSettings,
)
from actors.core.policy.action import Action, ActionKind, Circumstances
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.principal import Kind, Principal

T = TypeVar("T")

ROLES = ("a", "b", "c", "d", "viewer")
GLOBS = ("*", "read", "read_*", "*_file", "r??d", "write_file", "*a*e*", "?")
NAMES = ("read", "read_file", "write_file", "road", "w", "")
SERVERS = ("git", "web")
SERVER_GLOBS = ("*", "git", "w*", "g?t")
METHODS = ("completion/complete", "ping", "tools/list", "vendor/thing", "notifications/cancelled")
METHOD_GLOBS = ("*", "completion/*", "vendor/thing")
ADMIN_GLOBS = ("*", "*:read", "reload")
NETWORKS = ("10.0.0.0/8", "10.1.2.3", "192.168.7.0/25", "::ffff:172.16.0.0/108", "fd00::/8", "::/0")
ADDRESSES = ("10.1.2.3", "10.9.9.9", "::ffff:10.1.2.3", "192.168.7.130", "172.16.1.1", "fd00::1", "8.8.8.8", "", "x")
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata")
SCHEMAS = ({"required": ["path"]}, {"maxProperties": 0}, {"properties": {"n": {"minimum": 3}}})
ARGUMENTS: tuple[dict[str, object] | None, ...] = ({}, {"path": "/x"}, {"n": 1}, {"n": 5, "path": ""}, None)
MOMENTS = (1_700_000_000, 1_800_000_000)
"""Some years, in Unix seconds: several changes of the clocks are in them."""


class Deal:
    """Draws things; the same things for the same dice."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def some(self, values: Sequence[T], least: int = 0, most: int = 2) -> tuple[T, ...]:
        return tuple(self.rng.sample(values, self.rng.randint(least, most)))

    def policy(self) -> PolicySettings:
        """Roles inherit from those after them only, so there is no circle; diamonds there are."""
        roles = {}
        for position, name in enumerate(ROLES[:-1]):
            later = ROLES[position + 1 :]
            roles[name] = RoleSettings(
                inherits=self.some(later, most=min(2, len(later))),
                allow=tuple(self.permission() for _ in range(self.rng.randint(0, 2))),
                deny=tuple(self.permission() for _ in range(self.rng.randint(0, 1))),
            )
        return PolicySettings(roles=roles, assignments=(AssignmentSettings(role="a", groups=("g",)),))

    def permission(self) -> PermissionSettings:
        servers = self.some(SERVER_GLOBS, 1)
        if self.rng.random() < 0.5:
            return PermissionSettings(servers=servers, tools=self.some(GLOBS, 1), when=self.condition(tools=True))
        return PermissionSettings(
            servers=servers,
            tools=self.some(GLOBS),
            prompts=self.some(GLOBS),
            resources=self.some(GLOBS, 1),
            methods=self.some(METHOD_GLOBS),
            admin=self.some(ADMIN_GLOBS),
            when=self.condition(tools=False),
        )

    def condition(self, *, tools: bool) -> ConditionSettings | None:
        """Of one permission; `tools` if it is about nothing else."""
        hints = self.some(("readOnlyHint", "destructiveHint"), 1)
        said = {
            "networks": self.some(NETWORKS, 1),
            "windows": tuple(self.window() for _ in range(self.rng.randint(1, 2))),
            "mfa": self.mfa(),
            "annotations": {name: self.rng.random() < 0.5 for name in hints},
            "arguments": self.rng.choice(SCHEMAS),
        }
        names = self.some(tuple(said) if tools else ("networks", "windows", "mfa"))
        return ConditionSettings(**{name: said[name] for name in names}) if names else None  # type: ignore[arg-type]

    def window(self) -> WindowSettings:
        return WindowSettings(
            start=self.clock_time(),
            until=self.clock_time(),
            days=self.some(DAYS, 1, len(DAYS)),
            zone=self.rng.choice(ZONES),
        )

    def clock_time(self) -> str:
        at = f"{self.rng.randint(0, 23):02}:{self.rng.choice((0, 1, 30, 59)):02}"
        return self.rng.choice((at, at, at, "24:00"))

    def mfa(self) -> MfaSettings:
        age = self.rng.choice((None, 60.0, 3600.0))
        return MfaSettings(amr=self.some(("otp", "hwk"), 1), acr=self.some(("gold",), 0, 1), max_age=age)

    def question(self) -> tuple[Principal, Circumstances, Action]:
        now = float(self.rng.randint(*MOMENTS))
        return self.principal(now), Circumstances(self.rng.choice(ADDRESSES), now), self.action()

    def principal(self, now: float) -> Principal:
        return Principal(
            "alice",
            "https://id",
            Kind.TOKEN,
            roles=self.some((*ROLES, "gone"), 0, 3),
            amr=self.some(("otp", "pwd")),
            acr=self.rng.choice(("", "gold")),
            auth_time=self.rng.choice((None, now - 10, now - 1000, now - 10_000, now + 30, now + 3000)),
        )

    def action(self) -> Action:
        kind = self.rng.choice((ActionKind.TOOL, ActionKind.TOOL, *ActionKind))
        names = {ActionKind.METHOD: METHODS, ActionKind.ADMIN: ADMIN_ACTIONS}.get(kind, NAMES)
        server = "" if kind is ActionKind.ADMIN else self.rng.choice((*SERVERS, *SERVERS, ""))
        hints = self.some(("readOnlyHint", "destructiveHint", "openWorldHint"))
        given = self.rng.choice(ARGUMENTS)
        return Action(
            kind,
            server,
            self.rng.choice(names),
            {name: self.rng.random() < 0.5 for name in hints},
            None if given is None else lambda: json.loads(json.dumps(given)),
        )


def with_role(settings: PolicySettings, name: str, role: RoleSettings) -> PolicySettings:
    """The same policy, but for one role."""
    return replace(settings, roles={**settings.roles, name: role})
