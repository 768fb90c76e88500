"""What travels between those who note events and the one who writes them."""

import msgspec


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Events of one source, in their order."""

    source: str
    """The process which noted them, and its node; a restarted one is another source."""
    sequence: int
    """Counts the batches of this source from 1; sent again, a batch keeps its number and its events."""
    events: tuple[bytes, ...]
    """JSON, see `event.encoded`."""


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """What became of a batch."""

    written: bool
    """Whether it is in the log, now or already before; if not, it may be sent again."""
    reason: str = ""
    """Why it is not, for a person."""
    dropped: int = 0
    """Events that were not sent to syslog or OTLP since the receipt before this, whoever got that."""
