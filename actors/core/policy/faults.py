"""What settings of a policy say and cannot mean: better refused than silently without effect."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from actors.core.permission_settings import ADMIN_ACTIONS, PermissionSettings
from actors.core.policy.action import FREE, IMPLIED, is_free
from actors.core.policy.globs import matcher_of
from actors.core.policy_settings import PolicySettings
from actors.core.rules import SettingsError

Fault = tuple[tuple[str | int, ...], str]
"""The place inside the settings, and a sentence."""

COMPLETION: Final = "completion/complete"
"""The one method of the protocol that `methods` decide; others are of extensions."""


def faults(settings: PolicySettings) -> Iterator[Fault]:
    """Everything of this sort in the roles that are written down."""
    for name, role in settings.roles.items():
        for key, permissions in (("allow", role.allow), ("deny", role.deny)):
            for place, permission in enumerate(permissions):
                for inside, sentence in _faults_of(permission):
                    yield ("roles", name, key, place, *inside), sentence


def check(settings: PolicySettings) -> None:
    """Refuse settings with a fault.

    Raises:
        SettingsError: with every fault.
    """
    found = tuple((tuple(map(str, place)), sentence) for place, sentence in faults(settings))
    if found:
        raise SettingsError(found)


def _faults_of(permission: PermissionSettings) -> Iterator[Fault]:
    if any(not any(map(matcher_of((glob,)), ADMIN_ACTIONS)) for glob in permission.admin):
        yield ("admin",), f"has an entry that is none of {', '.join(ADMIN_ACTIONS)}"
    if any(map(_is_decided_otherwise, permission.methods)):
        yield (
            ("methods",),
            "has an entry that is decided by tools, prompts or resources, or needs no permission",
        )
    when = permission.when
    if when is None:
        return
    others = bool(permission.resources or permission.methods or permission.admin)
    if when.annotations and (others or permission.prompts):
        yield ("when", "annotations"), "are of tools: what else is named here needs a permission of its own"
    if when.arguments is not None:
        if others:
            yield (
                ("when", "arguments"),
                "are of tools and prompts: what else is named here needs a permission of its own",
            )
        yield from _schema_faults(when.arguments)


def _is_decided_otherwise(glob: str) -> bool:
    """Whether methods fit that have nothing to do with `methods`, and none of those that have."""
    fits = matcher_of((glob,))
    others = any(map(fits, (*FREE, *IMPLIED))) or is_free(glob)
    return others and not fits(COMPLETION)


def _schema_faults(schema: Mapping[str, Any]) -> Iterator[Fault]:
    from actors.core.policy.predicate import Predicate, PredicateError

    try:
        Predicate(schema)
    except PredicateError as fault:
        yield ("when", "arguments", *fault.place), fault.sentence
