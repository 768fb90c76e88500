"""On which terms callers are served: what they may do, and how much."""

import msgspec

from actors.core.limit_settings import LimitSettings
from actors.core.policy_settings import PolicySettings
from actors.core.settings import Settings


class Terms(msgspec.Struct, frozen=True):
    """Both are in the configuration file, and in force at every ingress as soon as that is read again."""

    policy: PolicySettings | None = None
    limits: LimitSettings = LimitSettings()

    @classmethod
    def of(cls, settings: Settings) -> "Terms":
        """Those of a configuration."""
        return cls(settings.policy, settings.limits)
