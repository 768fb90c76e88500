"""What principals may do. Default deny; what denies wins over all that allows."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from actors.core.permission_settings import PermissionSettings
from actors.core.policy.action import Action, ActionKind, Circumstances, is_free
from actors.core.policy.explanation import Explanation, step
from actors.core.policy.faults import check
from actors.core.policy.permission import Permission
from actors.core.policy.roles import closure
from actors.core.policy.stance import Stance
from actors.core.policy_settings import PolicySettings
from actors.core.principal import Principal

ADMIN_SCOPE: Final = "only1mcp:admin"
"""Of a token or key that may administrate where no policy is configured."""

UNCONFIGURED: Final = "no policy is configured"

REMEMBERED: Final = 4096
"""Sets of roles, and sets of permissions, of which the stance is remembered. What is forgotten is made again."""

_OPEN: Final = PermissionSettings(name=UNCONFIGURED, tools=("*",), prompts=("*",), resources=("*",), methods=("*",))
_ADMIN: Final = PermissionSettings(name=f"the scope {ADMIN_SCOPE}", admin=("*",))


class Policy:
    """Settings, ready to be asked. Without any, whoever was let in may use everything, and administrate with the scope.

    Raises:
        SettingsError: there is something in the settings that could never hold, or cannot be decided.
    """

    def __init__(self, settings: PolicySettings | None) -> None:
        if settings is not None:
            check(settings)
        self._roles = {} if settings is None else settings.all_roles
        self._open = settings is None
        self._permissions = tuple(_compiled(settings))
        self._stance_of = lru_cache(REMEMBERED)(self._make_stance)
        self._split_of = lru_cache(REMEMBERED)(self._split)

    def stance(self, principal: Principal, circumstances: Circumstances) -> Stance:
        """What a principal may do for now. It has the roles that `roles_of` gave it."""
        held, conditional = self._split_of(self._keys_of(principal))
        for permission in conditional:
            if permission.unmet(principal, circumstances) is None:
                held |= permission.bit
        return self._stance_of(held)

    def explain(self, principal: Principal, circumstances: Circumstances, action: Action) -> Explanation:
        """What `stance` and `Stance.decide` come to, and all that they looked at."""
        decision = self.stance(principal, circumstances).decide(action)
        keys = self._keys_of(principal)
        roles = () if self._open else closure(self._roles, keys)
        if action.kind is ActionKind.METHOD and is_free(action.name):
            return Explanation(decision, roles, ())
        looked_at = sorted(self._of(keys), key=lambda permission: permission.order)
        return Explanation(decision, roles, tuple(step(each, principal, circumstances, action) for each in looked_at))

    def _keys_of(self, principal: Principal) -> tuple[str, ...]:
        """All that decides which permissions a principal can have."""
        if not self._open:
            return principal.roles
        return (UNCONFIGURED, ADMIN_SCOPE) if ADMIN_SCOPE in principal.scopes else (UNCONFIGURED,)

    def _of(self, keys: tuple[str, ...]) -> list[Permission]:
        roles = keys if self._open else closure(self._roles, keys)
        return [permission for permission in self._permissions if permission.role in roles]

    def _split(self, keys: tuple[str, ...]) -> tuple[int, tuple[Permission, ...]]:
        """The bits of the permissions that always hold, and the permissions that depend on circumstances."""
        permissions = self._of(keys)
        always = sum(permission.bit for permission in permissions if permission.conditions is None)
        return always, tuple(permission for permission in permissions if permission.conditions is not None)

    def _make_stance(self, held: int) -> Stance:
        return Stance(self._permissions, [permission for permission in self._permissions if permission.bit & held])


def _compiled(settings: PolicySettings | None) -> Iterator[Permission]:
    for position, (role, place, deny, each) in enumerate(_written(settings)):
        yield Permission(each, role, place, deny=deny, bit=1 << position)


def _written(settings: PolicySettings | None) -> Iterator[tuple[str, int, bool, PermissionSettings]]:
    if settings is None:
        yield UNCONFIGURED, 0, False, _OPEN
        yield ADMIN_SCOPE, 0, False, _ADMIN
        return
    for name, role in sorted(settings.all_roles.items()):
        for place, each in enumerate(role.allow):
            yield name, place, False, each
        for place, each in enumerate(role.deny):
            yield name, place, True, each
