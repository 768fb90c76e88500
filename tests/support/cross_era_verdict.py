"""What is found of one kind of client with one kind of server, item by item."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Loss(StrEnum):
    """What is missed although it works; the value is the sentence for readers."""

    SCHEMAS = "an `outputSchema` that is not of an object is left out"
    VALUES = "a `structuredContent` that is no object comes as a text"
    BLOCKS = "content of later kinds (audio, links to resources) comes as a text"
    TITLES = "the titles of choices come as `enumNames`"
    OPEN = "the server's call waits in its Backend for the answer: for `park_seconds`, and no longer than that lives"
    ALONE = "only while no other caller's call is under way in that conversation with the server: see `isolation`"


@dataclass(frozen=True)
class Verdict:
    """It works, if there is nothing to say."""

    losses: frozenset[Loss] = field(default_factory=frozenset)
    impossible: str = ""
    """The error, if it cannot be."""
    broken: str = ""
    """What is wrong, if it is: this is never expected."""


WORKS: Final = Verdict()


def lost(*losses: Loss) -> Verdict:
    """It works, but for these."""
    return Verdict(frozenset(losses))


def impossible(error: str) -> Verdict:
    """It cannot be, and this error says so."""
    assert error, "an error is said"
    return Verdict(impossible=error)
