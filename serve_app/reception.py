"""Who stands at the door, and what is on offer for them there."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from actors.core.caller import Caller
from actors.core.offer import Offer
from actors.core.policy.action import Action, ActionKind, Circumstances
from actors.core.policy.policy import Policy
from actors.core.policy.roles import with_roles
from actors.core.policy.stance import Decision, Stance
from actors.core.policy_settings import PolicySettings
from serve_app.admin.access import SCOPE_MISSING, permission_missing
from serve_app.authentication import Authentication
from serve_app.denial import Denial
from serve_app.http import Scope
from serve_app.outlook import Outlook

UNCONFIGURED: Final = Policy(None)


class Reception:
    """Recognises callers, and gives each the offer that is theirs."""

    def __init__(
        self,
        authentication: Authentication,
        outlook: Outlook,
        address: Callable[[Scope], str],
        policy: PolicySettings | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`address` tells where a request comes from. Without a policy whoever was let in may use everything."""
        self._settings: PolicySettings | None = None
        self._policy: Policy | None = None
        self._authentication = authentication
        self._outlook = outlook
        self._address = address
        self._wall_clock = wall_clock
        self._go_by(policy)
        outlook.listeners.append(self._heed)

    async def recognise(self, scope: Scope, *, again: bool = False) -> Caller | Denial:
        """Who sends a request; waits only for a credential that was not seen before. `again` as for `peek`."""
        principal = self._authentication.peek(scope["headers"], scope, again=again)
        if principal is None:
            principal = await self._authentication.check(scope["headers"], scope, again=again)
        return principal if isinstance(principal, Denial) else Caller(principal, self.address(scope))

    def step_up(self, caller: Caller, scope: Scope) -> Denial | None:
        """The denial of a caller whose token lacks a scope that the MCP endpoints need, or nothing."""
        return self._authentication.step_up(caller.principal, scope)

    def address(self, scope: Scope) -> str:
        """Where a request comes from, see `Caller.ip`."""
        return self._address(scope)

    def offer(self, caller: Caller, backend: str | None) -> Offer | None:
        """What an endpoint, the aggregate or that of one backend, has for a caller now.

        Nothing if there is no such endpoint; one that has nothing for the caller looks the same.
        """
        if self._policy is None:
            return self._outlook.offer(backend)
        offer = self._outlook.offer(backend, self._stance(self._policy, caller))
        return None if offer is None or (backend is not None and offer.is_empty) else offer

    def offer_later(self, caller: Caller, backend: str | None) -> Offer | None:
        """As `offer`, for one who was recognised some time ago: the policy may give them other roles by now."""
        principal = with_roles(self._settings, caller.principal)
        return self.offer(msgspec.structs.replace(caller, principal=principal), backend)

    def admits(self, caller: Caller, backend: str) -> bool:
        """Whether there is anything of a backend that a caller, recognised some time ago, may use now."""
        return self.offer_later(caller, backend) is not None

    def permits(self, caller: Caller, action: str) -> Decision:
        """Whether a caller may do one of `ADMIN_ACTIONS`; without a policy this asks for no more than to be let in."""
        if self._policy is None:
            return Decision(True, "")
        return self._stance(self._policy, caller).decide(Action(ActionKind.ADMIN, "", action))

    def bars(self, caller: Caller, action: str) -> Denial | None:
        """The denial of a caller who may not do one of `ADMIN_ACTIONS`; without a policy it takes a scope."""
        policy = self._policy or UNCONFIGURED
        if self._stance(policy, caller).decide(Action(ActionKind.ADMIN, "", action)).allowed:
            return None
        return SCOPE_MISSING if self._policy is None else permission_missing(action)

    def _heed(self) -> None:
        """Go by the policy of a new View."""
        terms = self._outlook.view.terms
        if terms is not None and terms.policy != self._settings:
            self._go_by(terms.policy)

    def _go_by(self, settings: PolicySettings | None) -> None:
        self._settings = settings
        self._policy = None if settings is None else Policy(settings)
        self._authentication.assign(lambda principal: with_roles(settings, principal))

    def _stance(self, policy: Policy, caller: Caller) -> Stance:
        return policy.stance(caller.principal, Circumstances(caller.ip, self._wall_clock()))
