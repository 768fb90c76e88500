"""From a plain tree to settings: pydantic checks, and the sentences are ours.

Pydantic's own messages may repeat what was written, and stop at the first fault of an object.
"""

import copy
import json
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from actors.core.audit_settings import AuditSettings
from actors.core.auth_settings import (
    ApiKeySettings,
    AuthSettings,
    IntrospectionSettings,
    IssuerSettings,
    LoginSettings,
    TokenSettings,
)
from actors.core.credential_settings import CredentialSettings
from actors.core.limit_settings import LimitSettings, QuotaSettings, RateSettings
from actors.core.permission_settings import ConditionSettings, MfaSettings, PermissionSettings, WindowSettings
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.rules import SettingsError
from actors.core.sandbox_settings import SandboxSettings
from actors.core.settings import ServerSettings
from actors.core.tls_settings import TlsSettings
from actors.core.traffic_settings import (
    BalancerSettings,
    BreakerSettings,
    EjectionSettings,
    HealthSettings,
    PlacementSettings,
    PoolUrl,
    ResourceSettings,
    RetrySettings,
    ScaleSettings,
)
from serve_app.config.problems import Problems, Where, suggestion

T = TypeVar("T")

MAX_ROUNDS: Final = 8
"""Each looks past the faults of the one before; settings nest three deep."""

_SENTENCES: Final = {
    "missing": "is missing",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of names to values",
    "mapping_type": "must be a mapping of names to values",
    "dataclass_type": "must be a mapping of names to values",
}

_SECTIONS: Final = {
    "server": ServerSettings,
    "tls": TlsSettings,
    "auth": AuthSettings,
    "issuers": IssuerSettings,
    "api_keys": ApiKeySettings,
    "breaker": BreakerSettings,
    "balancer": BalancerSettings,
    "ejection": EjectionSettings,
    "health": HealthSettings,
    "placement": PlacementSettings,
    "replicas": ScaleSettings,
    "resources": ResourceSettings,
    "retry": RetrySettings,
    "urls": PoolUrl,
    "introspection": IntrospectionSettings,
    "tokens": TokenSettings,
    "logins": LoginSettings,
    "policy": PolicySettings,
    "roles": RoleSettings,
    "allow": PermissionSettings,
    "deny": PermissionSettings,
    "assignments": AssignmentSettings,
    "when": ConditionSettings,
    "windows": WindowSettings,
    "mfa": MfaSettings,
    "limits": LimitSettings,
    "rates": RateSettings,
    "quotas": QuotaSettings,
    "audit": AuditSettings,
    "sandbox": SandboxSettings,
}
"""Which settings stand under a key, so that a misspelt one can be guessed."""

_EITHER: Final = {"replicas": {"int": False, "ScaleSettings": True}}
"""For a key that takes one thing or another: what pydantic calls them in a place, and whether that one is a mapping."""


def shape(
    adapter: TypeAdapter[T],
    tree: Mapping[str, object],
    where: Where,
    problems: Problems,
) -> T | None:
    """The settings in a tree that stands at `where` in the file, or nothing, and then that has a problem."""
    remaining = copy.deepcopy(dict(tree))
    dropped: set[Where] = set()
    for _ in range(MAX_ROUNDS):
        try:
            # As JSON, strict still lets a list be a tuple and a word be an enum.
            settings = adapter.validate_json(json.dumps(remaining))
        except ValidationError as error:
            details = error.errors(include_url=False)
        else:
            return None if dropped else settings
        meant = [_meant(detail, remaining) for detail in details]
        found = [fault for detail in meant if detail for fault in _faults(detail, where)]
        faults = [fault for fault in found if not _follows(fault[0], dropped)]
        if not faults:
            # what was dropped is missing now: its whole section goes, so that the next round sees the others
            sections = {place[:-1] for place, _ in found if len(place) > 1} - dropped
            if not sections:
                return None
            dropped |= sections
            for place in sections:
                _drop(remaining, place)
        for place, reason in faults:
            problems.add((*where, *place), reason)
            dropped.add(place)
            _drop(remaining, place)
    return None


def _follows(place: Where, dropped: Collection[Where]) -> bool:
    """Whether a fault may come of what was dropped there or further in, and so is not worth reading."""
    return any(other[: len(place)] == place for other in dropped)


def _meant(detail: ErrorDetails, tree: Mapping[str, object]) -> ErrorDetails | None:
    """The detail at its place in the file; nothing if it is about what could have stood there and clearly does not."""
    place: list[str | int] = []
    value: object = tree
    names: Mapping[str, bool] = {}
    for key in detail["loc"]:
        if key in names:
            if isinstance(value, dict) is not names[str(key)]:
                return None
            names = {}
            continue
        place.append(key)
        names = _EITHER.get(str(key), {})
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key]
    return {**detail, "loc": tuple(place)}


def _faults(detail: ErrorDetails, where: Where) -> list[tuple[Where, str]]:
    place, kind = detail["loc"], detail["type"]
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, SettingsError):
        return [((*place, *path), sentence) for path, sentence in cause.reasons]
    if kind == "unexpected_keyword_argument":
        path = (*where, *place[:-1])
        section = next((key for key in reversed(path) if key in _SECTIONS), None)
        settings = CredentialSettings if section == "auth" != path[0] else _SECTIONS[str(section)] if section else None
        known = [] if settings is None else [field.name for field in fields(settings)]
        return [(place, f"is not a setting{suggestion(str(place[-1]), known)}")]
    if kind == "enum":
        return [(place, f"must be {detail.get('ctx', {})['expected']}")]
    sentence = _SENTENCES.get(kind, "is not valid")
    if kind == "string_type" and isinstance(detail["input"], bool | int | float):
        sentence += ": put it in quotes"
    return [(place, sentence)]


def _drop(tree: object, place: Where) -> None:
    """Take out what is wrong, so that the next round sees the rest; a list goes as a whole, or its positions shift."""
    if not place:
        return
    *path, last = place
    if isinstance(last, int):
        _drop(tree, tuple(path))
        return
    for key in path:
        if isinstance(tree, dict):
            tree = tree.get(key)
        elif isinstance(tree, list) and isinstance(key, int):
            tree = tree[key]
    if isinstance(tree, dict):
        tree.pop(last, None)
