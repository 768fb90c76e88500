"""Why a downstream session ended."""

from enum import StrEnum


class End(StrEnum):
    """As the audit has it."""

    CLIENT = "client"
    """Its client said so, or closed the connection that was the session."""
    IDLE = "idle"
    """Nobody used it for too long."""
    LIMIT = "limit"
    """It made room for another one of its owner, or there was no room for it."""
    REVOKED = "revoked"
    """Its client's credential is worth nothing any more."""
    LOST = "lost"
    """The server it was bound to has lost what it kept for it."""
    STOP = "stop"
    """The gateway is about to end, and the connection that it belongs to with it."""
