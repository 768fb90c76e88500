"""The answer of a conversion that cannot be made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Impossible:
    """A message has no form in the revision of its receiver."""

    reason: str
    """A sentence for the error that its sender gets; no secret."""


def came_later(what: str, since: str, revision: str) -> Impossible:
    """What `since` brought has no form for a peer that speaks the older `revision`."""
    return Impossible(f"{what} came with {since}, and the other side speaks {revision}")
