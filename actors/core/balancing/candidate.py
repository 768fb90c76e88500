"""A member of the subset, as a balancer sees it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """One replica which may serve the request."""

    value: T
    load: float
    """Comparable among candidates, less is better."""
