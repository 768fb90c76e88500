"""How a decision came about: every permission that was looked at, and why it did or did not apply."""

from dataclasses import dataclass

from actors.core.policy.action import Action, Circumstances
from actors.core.policy.arguments import Arguments
from actors.core.policy.permission import Permission
from actors.core.policy.stance import Decision
from actors.core.principal import Principal

APPLIES = "it applies"


@dataclass(frozen=True, slots=True)
class Step:
    """One permission."""

    rule: str
    role: str
    """Which role has it."""
    deny: bool
    applies: bool
    reason: str
    """For a person."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, and how it came about."""

    decision: Decision
    roles: tuple[str, ...]
    """Those of the principal, inherited ones too, in alphabetical order."""
    steps: tuple[Step, ...]
    """In the order in which they count: the first that applies decides."""


def step(permission: Permission, principal: Principal, circumstances: Circumstances, action: Action) -> Step:
    """What one permission has to say. Rungs: what it is about, what must be the case besides, the arguments."""
    reason = (
        permission.mismatch(action)
        or permission.unmet(principal, circumstances)
        or Arguments(action.arguments).misfit(permission)
    )
    return Step(permission.rule, permission.role, permission.deny, reason is None, reason or APPLIES)
