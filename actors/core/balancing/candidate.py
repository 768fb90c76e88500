"""A member of the subset, as a balancer sees it."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Candidate(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One replica which may serve the request. Some are made for every call, so it is a struct: they are cheap."""

    value: T
    load: float
    """Comparable among candidates, at least 0, less is better."""
    weight: float = 1.0
    """Its share of the calls, against the others'; more than 0."""
    name: str = ""
    """Its own among all candidates, and the same each time: what is remembered of it goes by this."""
