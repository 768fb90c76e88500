"""Ids of downstream sessions that every ingress replica can check without asking anybody.

An id is base64url of 48 bytes: when it was issued (5, seconds since 1970), what the client can be asked (1), the
revision (10, as in its name), a nonce (16) and a MAC (16: HMAC-SHA256, truncated). The MAC covers the principal too,
which is not part of the id: a session id is no authentication, and is worth nothing to another principal. 48 is a
multiple of three, so base64 leaves no spare bits and every other text stands for other bytes.
"""

import base64
import hmac
import re
from dataclasses import dataclass
from typing import Final

from actors.core.call import NO_CAPABILITIES
from actors.core.client_capabilities import Capability, condense, expand

NONCE_BYTES: Final = 16
REVISION_BYTES: Final = 10
CAPABILITIES_BYTES: Final = 1
STAMP_BYTES: Final = 5
MAC_BYTES: Final = 16
SIGNED_BYTES: Final = STAMP_BYTES + CAPABILITIES_BYTES + REVISION_BYTES + NONCE_BYTES

PURPOSE: Final = b"only1mcp downstream session 2\0"
"""Keeps these MACs apart from others made with the same secret; the number is the version of the form."""

_FORM: Final = re.compile(r"[A-Za-z0-9_-]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Session:
    """A downstream session, as its id tells it."""

    nonce: bytes
    """16 bytes that no other session has."""
    revision: str
    """The revision negotiated at `initialize`."""
    capabilities: bytes = NO_CAPABILITIES
    """What of the client's capabilities matters here, a JSON object in the one form of `client_capabilities.expand`."""


def mint(
    secret: bytes,
    *,
    nonce: bytes,
    revision: str,
    principal_key: str,
    now: float,
    capabilities: bytes = NO_CAPABILITIES,
) -> str:
    """Make the id of a new session: 64 visible ASCII characters.

    `secret` is shared by all ingress replicas, `nonce` is 16 random bytes, `principal_key` is `Principal.key`, `now`
    is in Unix seconds, since it is compared on other hosts and after restarts, `capabilities` is what the client
    declared, of which only what `client_capabilities` knows is kept.

    Raises:
        ValueError: the nonce or the revision has the wrong length.
    """
    if len(nonce) != NONCE_BYTES or len(revision.encode()) != REVISION_BYTES:
        raise ValueError(f"a session needs {NONCE_BYTES} bytes of nonce and a revision of {REVISION_BYTES} characters")
    stamp = round(now).to_bytes(STAMP_BYTES, "big")
    declared = condense(capabilities).to_bytes(CAPABILITIES_BYTES, "big")
    signed = stamp + declared + revision.encode() + nonce
    return base64.urlsafe_b64encode(signed + _mac(secret, signed, principal_key)).decode()


def read(secret: bytes, text: str, *, principal_key: str, now: float, max_age: float) -> Session | None:
    """Read an id that `mint` made with the same secret for the same principal, at most `max_age` seconds ago.

    Everything else gives nothing, without saying why. An id from the near future is read as well: the clocks of two
    replicas differ.
    """
    if _FORM.fullmatch(text) is None:
        return None
    raw = base64.urlsafe_b64decode(text)
    signed = raw[:SIGNED_BYTES]
    if not hmac.compare_digest(raw[SIGNED_BYTES:], _mac(secret, signed, principal_key)):
        return None
    if abs(now - int.from_bytes(signed[:STAMP_BYTES], "big")) > max_age:
        return None
    capabilities = expand(Capability(signed[STAMP_BYTES]))
    revision = signed[STAMP_BYTES + CAPABILITIES_BYTES : -NONCE_BYTES].decode()
    return Session(signed[-NONCE_BYTES:], revision, capabilities)


def _mac(secret: bytes, signed: bytes, principal_key: str) -> bytes:
    # What is signed has one length, so the principal, which has any, needs no divider.
    return hmac.digest(secret, PURPOSE + signed + principal_key.encode(), "sha256")[:MAC_BYTES]
