"""How ingress replicas and the Router speak of limits: one question and one answer now and then."""

import msgspec

from actors.core.limits.hold_count import Grant, Hold
from actors.core.limits.lease import Share, Use
from actors.core.limits.place_count import Places, Want


class LimitReport(msgspec.Struct, frozen=True, array_like=True):
    """What one ingress replica made of its shares since it last told."""

    source: str
    """Names the replica."""
    uses: tuple[Use, ...] = ()
    holds: tuple[Hold, ...] = ()
    places: tuple[Places, ...] = ()
    want: Want | None = None

    def __bool__(self) -> bool:
        return bool(self.uses or self.holds or self.places or self.want)


class LimitShares(msgspec.Struct, frozen=True, array_like=True):
    """What it may make of them until it tells again."""

    shares: tuple[Share, ...] = ()
    grants: tuple[Grant, ...] = ()
    given: bool = False
    """Whether the replica got the place that it wanted."""
