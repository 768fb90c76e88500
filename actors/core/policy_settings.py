"""The settings of what principals may do. `actors.core.settings` says how they are read.

A role holds permissions, and those of the roles it inherits. Who has a role is said by assignments. Whatever no
permission allows is denied, and a permission in `deny` wins over every other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from actors.core.permission_settings import ConditionSettings, PermissionSettings
from actors.core.rules import STRICT, Rule, require

MAX_ROLES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSettings:
    """A set of permissions with a name."""

    __pydantic_config__: ClassVar = STRICT

    inherits: tuple[str, ...] = ()
    """Roles whose permissions it has, too."""
    allow: tuple[PermissionSettings, ...] = ()
    deny: tuple[PermissionSettings, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentSettings:
    """Who has a role: whoever meets all that is said here; of several entries of one kind one is enough."""

    __pydantic_config__: ClassVar = STRICT

    role: str
    subjects: tuple[str, ...] = ()
    """Globs."""
    issuers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Names of API keys; globs."""
    clients: tuple[str, ...] = ()
    """OAuth clients; globs."""
    groups: tuple[str, ...] = ()
    """Globs."""
    scopes: tuple[str, ...] = ()
    everyone: bool = False
    """Whoever was let in; where no authentication is configured, everyone."""

    def __post_init__(self) -> None:
        said = self.subjects or self.issuers or self.keys or self.clients or self.groups or self.scopes
        require(((), bool(said) is not self.everyone, "must say who, or `everyone: true`, and not both"))


BUILT_IN: Final[Mapping[str, RoleSettings]] = {
    "viewer": RoleSettings(
        allow=(
            PermissionSettings(name="viewer: what only reads", resources=("*",), prompts=("*",)),
            PermissionSettings(
                name="viewer: tools that only read",
                tools=("*",),
                when=ConditionSettings(annotations={"readOnlyHint": True}),
            ),
            PermissionSettings(name="viewer: administration", admin=("servers:read", "metrics:read")),
        )
    ),
    "developer": RoleSettings(
        inherits=("viewer",),
        allow=(PermissionSettings(name="developer: everything on offer", tools=("*",), methods=("*",)),),
    ),
    "admin": RoleSettings(
        inherits=("developer",),
        allow=(PermissionSettings(name="admin: administration", admin=("*",)),),
    ),
}
"""Roles that are there without being written down; a file may give one of these names to a role of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """What principals may do. Without one, whoever was let in may use everything, and administrates with the scope."""

    __pydantic_config__: ClassVar = STRICT

    roles: Mapping[str, RoleSettings] = field(default_factory=dict)
    assignments: tuple[AssignmentSettings, ...] = ()

    @property
    def all_roles(self) -> Mapping[str, RoleSettings]:
        """Those of the file, and the built-in ones that it does not redefine."""
        return {**BUILT_IN, **self.roles}

    def __post_init__(self) -> None:
        known = self.all_roles
        cycle = _cycle(known)
        require(
            (("roles",), len(self.roles) <= MAX_ROLES, f"must be at most {MAX_ROLES}"),
            (("assignments",), bool(self.assignments), "must not be empty: nobody could do anything"),
            *_unknown_roles(known, self.roles, self.assignments),
            (("roles",), not cycle, f"inherit in a circle: {' → '.join(cycle)}"),
        )


def _unknown_roles(
    known: Mapping[str, RoleSettings], roles: Mapping[str, RoleSettings], assignments: Sequence[AssignmentSettings]
) -> Iterator[Rule]:
    for name, role in roles.items():
        yield ("roles", name, "inherits"), set(role.inherits) <= set(known), "names a role that there is not"
    for assignment in assignments:
        yield ("assignments",), assignment.role in known, "name a role that there is not"


def _cycle(roles: Mapping[str, RoleSettings]) -> list[str]:
    """The names along a circle of inheritance, the first one again at the end; empty if there is none."""
    done: set[str] = set()
    for start in roles:
        path: list[str] = []
        if found := _walk(start, roles, path, done):
            return found
    return []


def _walk(name: str, roles: Mapping[str, RoleSettings], path: list[str], done: set[str]) -> list[str]:
    if name in path:
        return [*path[path.index(name) :], name]
    if name in done or name not in roles:
        return []
    path.append(name)
    for parent in roles[name].inherits:
        if found := _walk(parent, roles, path, done):
            return found
    path.pop()
    done.add(name)
    return []
