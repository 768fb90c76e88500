"""What must be the case whatever is to be done: where a request comes from, when, and how its sender logged in."""

from typing import Final

from actors.core.permission_settings import ConditionSettings, MfaSettings
from actors.core.policy.action import Circumstances
from actors.core.policy.networks import Networks
from actors.core.policy.window import Window
from actors.core.principal import Principal

MAX_AHEAD: Final = 60.0
"""Seconds by which an issuer's clock may be ahead; a login further in the future would be recent for ever."""

ELSEWHERE: Final = "the request does not come from one of its networks"
NOWHERE: Final = "nobody knows where the request comes from"
ANOTHER_TIME: Final = "it is not within one of its windows"
OTHER_METHODS: Final = "the token's amr has none of the methods it demands"
OTHER_CLASS: Final = "the token's acr is none of the classes it demands"
TOO_LONG_AGO: Final = "the token does not say that its owner logged in recently enough"


class Conditions:
    """Those of one permission that do not depend on the action."""

    def __init__(self, settings: ConditionSettings, *, deny: bool) -> None:
        self._networks = Networks(settings.networks) if settings.networks else None
        self._windows = tuple(map(Window, settings.windows))
        self._mfa = settings.mfa
        self._deny = deny

    def unmet(self, principal: Principal, circumstances: Circumstances) -> str | None:
        """Why they are not met; nothing if they are. Rungs: the network, the time, the proof.

        An address that cannot be read is in no network for what allows, and in every one for what denies.
        """
        if self._networks is not None:
            inside = self._networks.holds(circumstances.ip)
            if inside is None and not self._deny:
                return NOWHERE
            if inside is False:
                return ELSEWHERE
        if self._windows and not any(window.holds(circumstances.now) for window in self._windows):
            return ANOTHER_TIME
        return None if self._mfa is None else _unproven(self._mfa, principal, circumstances.now)


def conditions_of(settings: ConditionSettings | None, *, deny: bool) -> Conditions | None:
    """Nothing if there are none of this sort."""
    if settings is None or not (settings.networks or settings.windows or settings.mfa):
        return None
    return Conditions(settings, deny=deny)


def _unproven(mfa: MfaSettings, principal: Principal, now: float) -> str | None:
    if mfa.amr and not set(mfa.amr) & set(principal.amr):
        return OTHER_METHODS
    if mfa.acr and principal.acr not in mfa.acr:
        return OTHER_CLASS
    if mfa.max_age is not None:
        age = None if principal.auth_time is None else now - principal.auth_time
        if age is None or not -MAX_AHEAD <= age <= mfa.max_age:
            return TOO_LONG_AGO
    return None
