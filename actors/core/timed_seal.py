"""Structures that somebody carries for us until their time is over: sealed as `core.seal` has it, and read here only.

Whoever brings one that is not good learns nothing of why it is not.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec

from actors.core.seal import NONCE_BYTES, Seal


class Carried(Protocol):
    """A structure of msgspec that says itself how long it is good."""

    @property
    def expires(self) -> float:
        """In Unix seconds, because another ingress replica compares it."""


E = TypeVar("E", bound=Carried)

_encode: Final = msgspec.msgpack.Encoder().encode


class TimedSeal:
    """Seals and opens the structures of one purpose, at any ingress replica that knows the secret."""

    def __init__(
        self, secret: bytes, purpose: str, wall_clock: Callable[[], float], token_bytes: Callable[[int], bytes]
    ) -> None:
        """`wall_clock` gives Unix seconds, `token_bytes` so many random bytes."""
        self._seal = Seal(secret, purpose)
        self._wall_clock = wall_clock
        self._token_bytes = token_bytes

    def until(self, seconds: float) -> float:
        """The end of what begins now and lasts so long, in Unix seconds."""
        return self._wall_clock() + seconds

    def close(self, carried: Carried, owner: str) -> str:
        """Seal a structure for `owner`."""
        return self._seal.close(_encode(carried), owner, self._token_bytes(NONCE_BYTES))

    def open(self, text: str, owner: str, kind: type[E]) -> E | None:
        """The structure of a text that `close` made of one of this kind for the same owner, before it expires."""
        opened = self._seal.open(text, owner)
        if opened is None:
            return None
        try:
            carried = msgspec.msgpack.decode(opened[0], type=kind)
        except msgspec.ValidationError:  # one of another kind
            return None
        return carried if self._wall_clock() < carried.expires else None
