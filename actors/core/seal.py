"""Texts that clients carry for us and can neither read nor change: authenticated encryption, bound to their owner.

AES-256-GCM (NIST SP 800-38D) under a key of its own for each purpose, drawn from the gateway's secret (HMAC-SHA256).
A text is base64url of a nonce (12 bytes) and the ciphertext with its tag.
"""

import base64
import binascii
import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
"""Random nonces of this length are safe for some four thousand million texts under one key."""

MAX_TEXT_CHARS: Final = 128 * 1024
"""Longer texts are refused unread: they are none of ours."""

_PREFIX: Final = b"only1mcp seal 1\0"
_NONCE_PREFIX: Final = b"only1mcp seal nonce 1\0"


class Seal:
    """Seals and opens the texts of one purpose, at any ingress replica that knows the secret."""

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._cipher = AESGCM(hmac.digest(secret, _PREFIX + purpose.encode(), "sha256"))
        self._nonce_key = hmac.digest(secret, _NONCE_PREFIX + purpose.encode(), "sha256")

    def close(self, payload: bytes, owner: str, nonce: bytes) -> str:
        """Seal a payload for `owner`; `nonce` is 12 random bytes, never used twice."""
        return _written(nonce + self._cipher.encrypt(nonce, payload, owner.encode()))

    def close_alike(self, payload: bytes, owner: str) -> str:
        """Seal a payload for `owner` so that the same one always gets the same text.

        The nonce is a keyed hash of both. So two different texts share one no likelier than random nonces do, and one
        that is used again seals what it sealed before: all that can be seen is that two texts are equal.
        """
        content = b"%d\0%b%b" % (len(payload), payload, owner.encode())
        return self.close(payload, owner, hmac.digest(self._nonce_key, content, "sha256")[:NONCE_BYTES])

    def open(self, text: str, owner: str) -> tuple[bytes, bytes] | None:
        """The payload of a text that `close` made for the same owner, and its nonce; nothing for any other text."""
        if len(text) > MAX_TEXT_CHARS:
            return None
        try:
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
            if _written(raw) != text:  # base64 has several texts for the same bytes; only one of them was given out
                return None
            payload = self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], owner.encode())
        except (binascii.Error, InvalidTag, ValueError):
            return None
        return payload, raw[:NONCE_BYTES]


def _written(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
