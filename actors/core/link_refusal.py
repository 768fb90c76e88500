"""Why a connection was not taken for a link: nobody but the gateway itself has business there."""

from enum import StrEnum
from typing import Final


class LinkRefusal(StrEnum):
    """Each is a value of a label of Metrics."""

    CERTIFICATE = "certificate"
    """It came from another node without a certificate of a link key, or with one that is not trusted here."""
    KEY = "key"
    """It could not prove to hold the secret of a link key, or of none that is still accepted."""
    HANDSHAKE = "handshake"
    """It did not speak as a link does, broke off, or took too long."""
    CROWD = "crowd"
    """There were too many at once that had yet to prove themselves."""


REFUSALS: Final = tuple(LinkRefusal)

Refused = tuple[int, ...]
"""How many there were of each of `REFUSALS`, in their order; empty is none."""
