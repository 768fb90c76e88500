"""The rate limits, as one ingress replica applies them: all limits that are about a request must admit it."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from actors.core.caller import Caller
from actors.core.limit_settings import RateSettings
from actors.core.limits.admission import FREE, Admitted, Reason, Refused, refused
from actors.core.limits.allowance import Allowance, gauge_of
from actors.core.limits.lease import Key, Lease, Share, Use
from actors.core.limits.rule import Rule
from actors.core.principal import Principal

MAX_ALLOWANCES: Final = 50_000
"""Allowances that are remembered; of more the one unused for longest is forgotten, and would begin anew."""

MAX_PLANS: Final = 10_000
"""Kinds of requests for which it is remembered what they take from; beyond that it is found out anew."""

MAX_USES: Final = 2_000
"""Allowances in one report; further ones are in the next."""

MAX_TOOL: Final = 128
"""Characters by which tools are told apart; on the endpoint of one server clients may name any."""

Plan = tuple[tuple[Rule, Key], ...]


class Limiter:
    """Callers pass times from one clock, in seconds, that never goes back."""

    def __init__(self, rates: Sequence[RateSettings], replicas: int = 1, max_allowances: int = MAX_ALLOWANCES) -> None:
        """`replicas` is how many share each allowance. One alone keeps it whole and has nothing to report."""
        self._rules = tuple(Rule(rate) for rate in rates)
        self._part = 1.0 / replicas
        self._shared = replicas > 1
        self._max_allowances = max_allowances
        self._allowances: OrderedDict[Key, Allowance] = OrderedDict()
        """The one unused for longest first."""
        self._plans: dict[tuple[Principal, str, str, str], Plan] = {}
        self._active: dict[Key, Lease] = {}
        """Those that were asked since they were last reported."""
        self._reported: dict[Key, tuple[Lease, int]] = {}
        """Those of the report that is under way, and how many calls it told of."""
        self._lost_at: float | None = None
        """When the Router was found to be away, if it is."""
        self._now = 0.0

    def __len__(self) -> int:
        return len(self._allowances)

    def check(self, caller: Caller, server: str, tool: str, now: float) -> Admitted | Refused:
        """Admit a request and take it from all its allowances, or refuse it and take nothing.

        `server` and `tool` are empty where there is none. A refusal names the limit that takes longest.
        """
        plan = self._plan(caller, server, tool[:MAX_TOOL])
        if not plan:
            return FREE
        self._now = now
        asked: list[Allowance] = []
        longest = 0.0
        refusing: Rule | None = None
        for rule, key in plan:
            allowance = self._allowances.get(key)
            if allowance is None:
                allowance = self._begin(rule.rate, key)
            else:
                self._allowances.move_to_end(key)
            wait = allowance.ask(now)
            if wait > longest:
                longest, refusing = wait, rule
            asked.append(allowance)
        if refusing is not None:
            return refused(Reason.RATE, longest, refusing.policy)
        least, tightest = float("inf"), 0
        for index, allowance in enumerate(asked):
            remaining = allowance.take()
            if remaining < least:
                least, tightest = remaining, index
        reset = asked[tightest].reset(now)
        return Admitted(plan[tightest][0].policy, least, reset)

    def report(self, now: float) -> tuple[Use, ...]:
        """What to tell the Router; nothing if nobody asked for anything."""
        batch = [self._active.pop(key) for key in list(self._active)[:MAX_USES]]
        self._reported = {lease.key: (lease, lease.spent) for lease in batch}
        return tuple(lease.report(now) for lease in batch)

    def renew(self, shares: Sequence[Share], now: float) -> None:
        """Go by what the Router answered to the last report."""
        self._lost_at = None
        for share in shares:
            if share.key in self._reported:
                lease, spent = self._reported[share.key]
                lease.renew(share, spent, now)
        self._reported = {}

    def go_on(self, now: float) -> None:
        """The last report was not answered: shares stay what they are, and what it told is left out of account."""
        if self._lost_at is None:
            self._lost_at = now
        for lease, spent in self._reported.values():
            lease.spent -= spent
        self._reported = {}

    def _plan(self, caller: Caller, server: str, tool: str) -> Plan:
        kind = caller.principal, caller.ip, server, tool
        plan = self._plans.get(kind)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            plan = tuple((rule, key) for rule in self._rules for key in rule.keys(caller, server, tool))
            self._plans[kind] = plan
        return plan

    def _begin(self, rate: RateSettings, key: Key) -> Allowance:
        now = self._now
        allowance = Lease(key, rate, self._part, now, self._asked_again) if self._shared else gauge_of(rate, now)
        self._allowances[key] = allowance
        if len(self._allowances) > self._max_allowances:
            self._allowances.popitem(last=False)
        return allowance

    def _asked_again(self, lease: Lease) -> None:
        self._active[lease.key] = lease
        lease.lapse(self._part, self._now if self._lost_at is None else self._lost_at, self._now)
