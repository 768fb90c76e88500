"""How the two ends of a link prove to each other that they hold a secret of the gateway. No socket, no dice.

    caller                       listener
    Hello(version, nonce)   →
                            ←    Challenge(version, nonce)
    Proof(HMAC "caller")    →
                            ←    Proof(HMAC "listener")      and the link is open

Each proof is an HMAC-SHA256 over a direction label, the version and both nonces: it holds for one connection and one
direction, so neither a replayed nor a reflected proof is worth anything. The listener proves itself last, and thus
never to a stranger. It may hold several secrets, see `actors.core.link_keys`, and uses the one that the caller has.
The handshake authenticates; it does not encrypt what follows.
"""

import hmac
from collections.abc import Mapping
from typing import Final, Protocol

from actors.bus.frames import PROTOCOL_VERSION, Challenge, Frame, Hello, Proof, Refuse

NONCE_BYTES: Final = 32
MIN_SECRET_BYTES: Final = 16
"""A shorter secret could be guessed from one overheard proof."""

WRONG_PROOF: Final = "the proof is wrong: the two ends hold different secrets"


class HandshakeError(Exception):
    """The peer is not one to talk to; the reason is for people, and may be sent to it."""


class RefusedByPeer(HandshakeError):  # noqa: N818, it names what happened
    """The peer said so itself: there is no use in refusing it in turn."""


class NotProven(HandshakeError):  # noqa: N818, it names what happened
    """The peer does not hold the secret: nothing at all is said to it."""


class Handshake(Protocol):
    """One end of the exchange above."""

    complete: bool
    """Whether the peer has proved itself, and this end to it."""

    def begin(self) -> Frame | None:
        """What this end sends first, if it is the one that begins."""

    def receive(self, frame: Frame) -> Frame | None:
        """Take the next frame from the peer; the answer to it, if there is one.

        Raises:
            HandshakeError: the link must be closed.
        """


class CallerHandshake:
    """The end which connected."""

    def __init__(self, secret: bytes, nonce: bytes) -> None:
        require_strength(secret)
        self.complete = False
        self._secret = secret
        self._nonce = nonce
        self._peer_nonce: bytes | None = None

    def begin(self) -> Frame:
        """See `Handshake.begin`."""
        return Hello(PROTOCOL_VERSION, self._nonce)

    def receive(self, frame: Frame) -> Frame | None:
        """See `Handshake.receive`."""
        match frame:
            case Refuse(reason):
                raise RefusedByPeer(_printable(reason))
            case Challenge(version, nonce) if self._peer_nonce is None:
                _require_acceptable(version, nonce)
                self._peer_nonce = nonce
                return Proof(_mac(self._secret, b"caller", self._nonce, nonce))
            case Proof(mac) if self._peer_nonce is not None and not self.complete:
                if not hmac.compare_digest(mac, _mac(self._secret, b"listener", self._nonce, self._peer_nonce)):
                    raise NotProven(WRONG_PROOF)
                self.complete = True
                return None
            case _:
                raise HandshakeError(f"{type(frame).__name__} is not what the handshake expects here")


class ListenerHandshake:
    """The end which was connected to."""

    def __init__(self, secrets: Mapping[int, bytes], nonce: bytes) -> None:
        """`secrets` are those accepted, by the numbers of their keys."""
        for secret in secrets.values():
            require_strength(secret)
        self.complete = False
        self.proven = 0
        """The number of the key whose secret the caller holds, when the handshake is complete."""
        self._secrets = secrets
        self._nonce = nonce
        self._peer_nonce: bytes | None = None

    def begin(self) -> None:
        """See `Handshake.begin`."""
        return

    def receive(self, frame: Frame) -> Frame:
        """See `Handshake.receive`."""
        match frame:
            case Refuse(reason):
                raise RefusedByPeer(_printable(reason))
            case Hello(version, nonce) if self._peer_nonce is None:
                _require_acceptable(version, nonce)
                self._peer_nonce = nonce
                return Challenge(PROTOCOL_VERSION, self._nonce)
            case Proof(mac) if self._peer_nonce is not None and not self.complete:
                self.proven = self._require_proven(mac, self._peer_nonce)
                self.complete = True
                return Proof(_mac(self._secrets[self.proven], b"listener", self._peer_nonce, self._nonce))
            case _:
                raise HandshakeError(f"{type(frame).__name__} is not what the handshake expects here")

    def _require_proven(self, mac: bytes, caller_nonce: bytes) -> int:
        for number, secret in self._secrets.items():
            if hmac.compare_digest(mac, _mac(secret, b"caller", caller_nonce, self._nonce)):
                return number
        raise NotProven(WRONG_PROOF)


def require_strength(secret: bytes) -> None:
    """Check a secret before it is used.

    Raises:
        ValueError: it is too short.
    """
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"a secret of links must have at least {MIN_SECRET_BYTES} bytes")


def _mac(secret: bytes, direction: bytes, caller_nonce: bytes, listener_nonce: bytes) -> bytes:
    # the nonces have one length, so no two inputs run together to the same bytes
    text = b"only1mcp bus %d %b " % (PROTOCOL_VERSION, direction)
    return hmac.digest(secret, text + caller_nonce + listener_nonce, "sha256")


def _require_acceptable(version: int, nonce: bytes) -> None:
    if version != PROTOCOL_VERSION:
        raise HandshakeError(f"this end speaks version {PROTOCOL_VERSION} of the bus, not {version}")
    if len(nonce) != NONCE_BYTES:
        raise HandshakeError(f"a nonce must have {NONCE_BYTES} bytes")


def _printable(reason: str) -> str:
    """What a stranger wrote, fit for a log line; its length is bounded by the frame limit of strangers."""
    return "".join(char if char.isprintable() else "?" for char in reason)
