"""How much a principal may have at the same time."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from actors.core.limit_settings import HELD, QuotaSettings
from actors.core.policy.globs import matcher_of
from actors.core.principal import Principal

MAX_KNOWN: Final = 10_000
"""Principals whose quota is remembered; beyond that it is found out anew."""

ANY: Final = ("*",)


class Quota(msgspec.Struct, frozen=True, gc=False):
    """The least of all that is about a principal; nothing where nothing is."""

    calls: int | None = None
    sessions: int | None = None
    streams: int | None = None
    websockets: int | None = None


class Quotas:
    """Finds the quota of a principal."""

    def __init__(self, quotas: Sequence[QuotaSettings]) -> None:
        self._rules = tuple((each, matcher_of(each.principals), matcher_of(each.roles)) for each in quotas)
        self._known: dict[tuple[str, tuple[str, ...]], Quota] = {}

    def of(self, principal: Principal) -> Quota:
        """Its quota."""
        kind = principal.subject, principal.roles
        known = self._known.get(kind)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[kind] = self._find(principal)
        return known

    def _find(self, principal: Principal) -> Quota:
        about = [
            quota
            for quota, principals, roles in self._rules
            if principals(principal.subject) and (quota.roles == ANY or any(map(roles, principal.roles)))
        ]
        return Quota(**{name: _least(getattr(each, name) for each in about) for name in HELD})


def _least(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
