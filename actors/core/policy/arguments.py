"""The arguments of one call, as permissions look at them."""

from collections.abc import Callable
from typing import Final

from actors.core.policy.permission import Permission

MISFIT: Final = "the arguments do not fit its schema"
UNKNOWN: Final = "the arguments cannot be judged"


class Arguments:
    """Reads them when a permission first looks at them, and once only; see `Action.arguments`."""

    def __init__(self, read: Callable[[], object] | None) -> None:
        self._read = read
        self._given: object = None
        self._known: bool | None = None

    def misfit(self, permission: Permission) -> str | None:
        """Why they do not fit a permission, nothing if they do.

        Such as cannot be read or judged fit whatever denies, and nothing that allows.
        """
        if permission.predicate is None:
            return None
        fits = permission.predicate.judge(self._given) if self._are_known() else None
        if fits is None:
            return None if permission.deny else UNKNOWN
        return None if fits else MISFIT

    def _are_known(self) -> bool:
        if self._known is None:
            self._known = False
            if self._read is not None:
                try:
                    given = self._read()
                except Exception:  # noqa: BLE001 - whatever the cause, nothing is known of them
                    return False
                self._given, self._known = {} if given is None else given, True
        return self._known
