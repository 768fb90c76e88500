"""The keys of links: with what both ends of a link prove that they belong to one gateway.

Numbers grow within a run of the gateway. The newest key and the one before are dialled with, every key of a ring is
accepted: a process that has not heard of the newest yet is reached with the one before, and a new key is told to those
who accept before it is told to those who dial.
"""

from dataclasses import dataclass, field
from typing import Final

MAX_KEYS: Final = 3
"""The newest, the one before, and the one that some may still dial with while the newest is spread."""

DIALLED: Final = 2
"""How many of them a caller tries, newest first."""


@dataclass(frozen=True, slots=True)
class LinkKey:
    """One of them. Nothing of it but its number is ever shown."""

    number: int
    secret: bytes = field(repr=False)
    """For the proofs inside a link."""
    authority: str = field(repr=False)
    """The certificate (PEM) of the authority which signed `certificate`, and signs nothing else: its key is gone."""
    certificate: str = field(repr=False)
    """The certificate (PEM) that both ends show in TLS, for `name`."""
    private_key: str = field(repr=False)
    """Of `certificate`: PKCS #8 in PEM, encrypted with `password`, so that no file ever holds it in the clear."""
    made_at: float = 0.0
    """On the clock of its maker, in seconds."""

    @property
    def name(self) -> str:
        """What a caller says in TLS that it wants to talk to; no name system knows it."""
        return link_name(self.number)

    @property
    def password(self) -> str:
        """Opens `private_key`."""
        return self.secret.hex()


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """A ring of keys, newest first; one without any belongs to a process that was told none yet."""

    keys: tuple[LinkKey, ...] = ()

    @property
    def number(self) -> int:
        """That of the newest; 0 if there is none."""
        return self.keys[0].number if self.keys else 0

    @property
    def dialled(self) -> tuple[LinkKey, ...]:
        """Those to dial with, in order: the next one only where the first is not accepted."""
        return self.keys[:DIALLED]

    @property
    def before(self) -> "LinkKeys":
        """The ring without its newest key."""
        return LinkKeys(self.keys[1:])

    def with_next(self, key: LinkKey) -> "LinkKeys":
        """The ring after `key` was made; the oldest key of a full ring is accepted no longer.

        Raises:
            ValueError: the number of `key` is not above the others.
        """
        if key.number <= self.number:
            raise ValueError(f"link key {key.number} is not newer than {self.number}")
        return LinkKeys((key, *self.keys[: MAX_KEYS - 1]))

    def has(self, number: int) -> bool:
        """Whether a key of this number is accepted."""
        return any(key.number == number for key in self.keys)

    def is_due(self, now: float, seconds: float) -> bool:
        """Whether it is time for the next key, if one lasts so long; 0 is for ever. `now` is on its maker's clock."""
        return not self.keys or (seconds > 0 and now - self.keys[0].made_at >= seconds)


def link_name(number: int) -> str:
    """The name in the certificate of a key."""
    return f"link-{number}.only1mcp.internal"
