"""What is derived from the one key of a log, so that who holds one of these learns nothing of the other."""

import hmac
from typing import Final

import msgspec

KEY_BYTES: Final = 32


class Keys(msgspec.Struct, frozen=True):
    """The keys of one log."""

    lines: bytes
    """Proves that a line is the writer's own."""
    arguments: bytes
    """Digests arguments and sessions; every ingress replica has it."""

    def __repr__(self) -> str:
        return "Keys(…)"


def derived(key: bytes) -> Keys:
    """The keys of the log that has this one in its key file."""
    return Keys(
        hmac.digest(key, b"only1mcp audit lines 1", "sha256"), hmac.digest(key, b"only1mcp audit arguments 1", "sha256")
    )
