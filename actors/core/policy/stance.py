"""What one may do for now: the permissions that hold for a principal in its circumstances."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from actors.core.policy.action import Action, ActionKind, is_free
from actors.core.policy.arguments import Arguments
from actors.core.policy.permission import Permission

NOTHING: Final = "nothing allows it"
NEEDS_NONE: Final = "it needs no permission"


class Decision(NamedTuple):
    """Whether an action is allowed, and what says so."""

    allowed: bool
    rule: str
    """The name of a permission, or a text if none decided."""


_DENIED: Final = Decision(False, NOTHING)
_FREE: Final = Decision(True, NEEDS_NONE)


class Stance:
    """Equal to every other one of the same policy in which the same permissions hold: what is rendered for it is
    good for all of these."""

    __slots__ = ("_allows", "_bits", "_denies", "_policy")

    def __init__(self, policy: object, held: Iterable[Permission]) -> None:
        ordered = sorted(held, key=lambda permission: permission.order)
        self._policy = policy
        self._bits = sum({permission.bit for permission in ordered})
        self._denies = {kind: tuple(p for p in ordered if p.deny and kind in p.kinds) for kind in ActionKind}
        self._allows = {kind: tuple(p for p in ordered if not p.deny and kind in p.kinds) for kind in ActionKind}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stance) and self._bits == other._bits and self._policy is other._policy

    def __hash__(self) -> int:
        return hash(self._bits)

    def decide(self, action: Action) -> Decision:
        """Allow or deny. Rungs, in order; the first which decides wins.

        1. Some methods need no permission.
        2. What denies it. Arguments that cannot be judged fit.
        3. What allows it, first without a look at its arguments. Such as cannot be judged do not fit.
        4. Nothing allows it.
        """
        if action.kind is ActionKind.METHOD and is_free(action.name):
            return _FREE
        arguments = Arguments(action.arguments)
        for permission in self._denies[action.kind]:
            if permission.mismatch(action) is None and arguments.misfit(permission) is None:
                return Decision(False, permission.rule)
        for permission in self._allows[action.kind]:
            if permission.mismatch(action) is None and arguments.misfit(permission) is None:
                return Decision(True, permission.rule)
        return _DENIED

    def may_show(self, action: Action) -> bool:
        """Whether some arguments could be allowed, so that lists have it; the action's own are not looked at."""
        if action.kind is ActionKind.METHOD and is_free(action.name):
            return True
        if any(p.predicate is None and p.mismatch(action) is None for p in self._denies[action.kind]):
            return False
        return any(p.mismatch(action) is None for p in self._allows[action.kind])

    def reaches(self, kind: ActionKind, server: str) -> bool:
        """Whether something of this kind may be allowed at a server, whatever it lists."""
        return any(permission.is_about(kind, server) for permission in self._allows[kind])

    def wants_arguments(self, action: Action) -> bool:
        """Whether `decide` may ask for the arguments of the action."""
        if action.kind is ActionKind.METHOD and is_free(action.name):
            return False
        ladder = (p for permissions in (self._denies, self._allows) for p in permissions[action.kind])
        first = next((p for p in ladder if p.mismatch(action) is None), None)
        return first is not None and first.predicate is not None
