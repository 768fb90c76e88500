"""What befalls a call on its way, beside what becomes of it in the end: counted where it happens, in `core.tally`."""

from enum import StrEnum

import msgspec


class Incident(StrEnum):
    """Each is a counter of Metrics."""

    RETRY = "retry"
    """An attempt failed, and there is another; the reason is the kind of its failure."""
    HEDGE = "hedge"
    """A second attempt was begun while the first went on."""
    HEDGE_WON = "hedge_won"
    """The second attempt was the first that was heard of."""
    EJECTION = "ejection"
    """An ingress leaves a replica alone for a while."""
    SESSION_LOST = "session_lost"
    """A bound session was told that the state it had is gone."""
    LINK_REFUSED = "link_refused"
    """A connection to an ingress replica was not taken for a link; the reason is a `LinkRefusal`."""
    LIMITED = "limited"
    """A limit refused a request; the reason is the name of the rate limit, or says which quota."""


class IncidentLabels(msgspec.Struct, frozen=True, array_like=True):
    """What incidents are counted by; each has a bounded set of values."""

    incident: Incident
    backend: str
    """A configured one."""
    reason: str = ""
    """Of a fixed set, or empty for an incident that needs none."""
