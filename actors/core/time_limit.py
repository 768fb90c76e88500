"""How long one call may take: a tool's own limit if it has one, else that of its backend."""

from collections.abc import Mapping
from typing import Final, Protocol

TOOLS_CALL: Final = "tools/call"


class Limits(Protocol):
    """Whatever knows the limits of one backend."""

    @property
    def timeout(self) -> float:
        """Seconds one call may take."""

    @property
    def timeouts(self) -> Mapping[str, float]:
        """The same for single tools, by their own names."""


def time_limit(limits: Limits, method: str, name: str | None) -> float:
    """Seconds a call of `method` may take; `name` is what its server calls the tool."""
    if not limits.timeouts or method != TOOLS_CALL or name is None:
        return limits.timeout
    return limits.timeouts.get(name, limits.timeout)


def longest(limits: Limits) -> float:
    """Seconds the longest call may take: the limit of one of which nothing is known."""
    return max(limits.timeout, *limits.timeouts.values()) if limits.timeouts else limits.timeout
