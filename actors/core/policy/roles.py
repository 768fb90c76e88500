"""Who has which roles."""

from collections.abc import Iterable, Mapping

import msgspec

from actors.core.policy.globs import matcher_of
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.principal import Kind, Principal


def roles_of(settings: PolicySettings | None, principal: Principal) -> tuple[str, ...]:
    """The roles that the assignments give, and those they inherit, in alphabetical order; none without a policy."""
    if settings is None:
        return ()
    assigned = {each.role for each in settings.assignments if is_meant(each, principal)}
    return closure(settings.all_roles, assigned)


def with_roles(settings: PolicySettings | None, principal: Principal) -> Principal:
    """The principal with the roles that the policy gives."""
    return msgspec.structs.replace(principal, roles=roles_of(settings, principal))


def closure(roles: Mapping[str, RoleSettings], names: Iterable[str]) -> tuple[str, ...]:
    """These roles and all that they inherit, in alphabetical order; names that are no role's are left out."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in roles and name not in found:
            found.add(name)
            waiting.extend(roles[name].inherits)
    return tuple(sorted(found))


def is_meant(assignment: AssignmentSettings, principal: Principal) -> bool:
    """Whether an assignment is about the principal.

    `subjects`, `issuers` and `clients` are those of tokens, `keys` are API keys: nobody gets the role of a person by
    giving a key that person's name. Groups and scopes are of either.
    """
    if assignment.everyone:
        return True
    token, key = principal.kind is Kind.TOKEN, principal.kind is Kind.KEY
    demands = (
        (assignment.subjects, token and matcher_of(assignment.subjects)(principal.subject)),
        (assignment.issuers, token and principal.issuer in assignment.issuers),
        (assignment.keys, key and matcher_of(assignment.keys)(principal.subject)),
        (assignment.clients, token and matcher_of(assignment.clients)(principal.client)),
        (assignment.groups, any(map(matcher_of(assignment.groups), principal.groups))),
        (assignment.scopes, not set(assignment.scopes).isdisjoint(principal.scopes)),
    )
    return all(met for demanded, met in demands if demanded)
