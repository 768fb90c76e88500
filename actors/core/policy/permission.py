"""One permission, ready to be held against actions."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from actors.core.permission_settings import PermissionSettings
from actors.core.policy.action import Action, ActionKind, Circumstances
from actors.core.policy.annotations import hint
from actors.core.policy.conditions import conditions_of
from actors.core.policy.globs import Matcher, matcher_of
from actors.core.principal import Principal

if TYPE_CHECKING:
    from actors.core.policy.predicate import Predicate

PLURALS: Final[Mapping[ActionKind, str]] = {
    ActionKind.TOOL: "tools",
    ActionKind.PROMPT: "prompts",
    ActionKind.RESOURCE: "resources",
    ActionKind.METHOD: "methods",
    ActionKind.ADMIN: "admin",
}
"""What the entries for each kind are called in settings."""

ANOTHER_SERVER: Final = "it is not about this server"
ANOTHER_NAME: Final = "none of its globs fits"


class Permission:
    """What a role allows, or denies. `bit` is its own among those of its policy.

    Raises:
        PredicateError: its schema for arguments cannot be used.
    """

    def __init__(self, settings: PermissionSettings, role: str, place: int, *, deny: bool, bit: int) -> None:
        self.role = role
        self.deny = deny
        self.bit = bit
        self.rule = settings.name or f"{role}.{'deny' if deny else 'allow'}[{place}]"
        """What people call it."""
        self.conditions = conditions_of(settings.when, deny=deny)
        self.predicate = _predicate_of(settings)
        self._place = place
        self._servers = matcher_of(settings.servers)
        self._names = dict(_matchers(settings))
        annotations = settings.when.annotations if settings.when else {}
        self._hints = tuple(
            (name, wanted, f"{name} of the tool is not {str(wanted).lower()}") for name, wanted in annotations.items()
        )

    @property
    def kinds(self) -> frozenset[ActionKind]:
        """What it is about."""
        return frozenset(self._names)

    @property
    def order(self) -> tuple[bool, bool, str, int]:
        """Where it stands among others: what denies comes first, then what needs no look at arguments."""
        return not self.deny, self.predicate is not None, self.role, self._place

    def unmet(self, principal: Principal, circumstances: Circumstances) -> str | None:
        """Why it does not hold for now, whatever the action; nothing if it does."""
        return None if self.conditions is None else self.conditions.unmet(principal, circumstances)

    def is_about(self, kind: ActionKind, server: str) -> bool:
        """Whether there may be something of this kind at a server that it is about."""
        return kind in self._names and self._servers(server)

    def mismatch(self, action: Action) -> str | None:
        """Why it has nothing to do with the action; nothing if it has, should the arguments fit.

        Rungs: the kind, the server, the name, the annotations.
        """
        names = self._names.get(action.kind)
        if names is None:
            return f"it says nothing of {PLURALS[action.kind]}"
        if action.kind is not ActionKind.ADMIN and not self._servers(action.server):
            return ANOTHER_SERVER
        if not names(action.name):
            return ANOTHER_NAME
        for name, wanted, reason in self._hints:
            if hint(action.annotations, name) is not wanted:
                return reason
        return None


def _matchers(settings: PermissionSettings) -> Iterator[tuple[ActionKind, Matcher]]:
    entries = {
        ActionKind.TOOL: settings.tools,
        ActionKind.PROMPT: settings.prompts,
        ActionKind.RESOURCE: settings.resources,
        ActionKind.METHOD: settings.methods,
        ActionKind.ADMIN: settings.admin,
    }
    for kind, globs in entries.items():
        if globs:
            yield kind, matcher_of(tuple(globs))


def _predicate_of(settings: PermissionSettings) -> "Predicate | None":
    if settings.when is None or settings.when.arguments is None:
        return None
    from actors.core.policy.predicate import Predicate

    return Predicate(settings.when.arguments)
