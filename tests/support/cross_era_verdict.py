"""What is found of one item with one kind of client and one kind of server."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Loss(StrEnum):
    """What is missed although it works; the value is the sentence for readers."""

    SCHEMAS = "an `outputSchema` that is not of an object is left out"
    BLOCKS = "content of a later kind (audio, links to resources) comes as a text"
    VALUES = "a `structuredContent` that is no object comes as a text"
    TITLES = "the titles of choices come as `enumNames`"
    DONE = "the client is not told when the user is done with the page (`notifications/elicitation/complete`)"
    OPEN = "the server's call waits for the answer in its Backend: for `park_seconds`, and only as long as that lives"
    ALONE = "only while no other caller has a call under way in the same conversation with the server"


@dataclass(frozen=True)
class Verdict:
    """It works, if there is nothing to say."""

    losses: frozenset[Loss] = field(default_factory=frozenset)
    impossible: str = ""
    """The error that says so."""
    absent: bool = False
    """Whether such servers do not do this."""
    broken: str = ""
    """What is wrong: this is never expected."""


WORKS: Final = Verdict()
ABSENT: Final = Verdict(absent=True)


def lost(*losses: Loss) -> Verdict:
    """It works, but for these."""
    return Verdict(frozenset(losses))


def impossible(error: str) -> Verdict:
    """It cannot be, and this error says so."""
    return Verdict(impossible=error)
