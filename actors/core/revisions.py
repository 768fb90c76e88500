"""The revisions of MCP, and the two eras they fall into.

The values equal those of `mcp_types.version`, and a test holds them to it; they stand here because importing
`mcp_types` costs every Backend process half a second and pydantic's memory.
"""

from enum import StrEnum
from typing import Final

HANDSHAKE_REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Revisions with `initialize` and sessions, oldest first."""

MODERN_REVISIONS: Final = ("2026-07-28",)
"""Revisions with an envelope in every request and no session, oldest first."""

LATEST_HANDSHAKE: Final = HANDSHAKE_REVISIONS[-1]
LATEST_MODERN: Final = MODERN_REVISIONS[-1]


class Era(StrEnum):
    """How a peer opens a conversation."""

    HANDSHAKE = "handshake"
    MODERN = "modern"


def era_of(revision: str) -> Era:
    """The era of a revision; every unknown one is taken to be modern."""
    return Era.HANDSHAKE if revision in HANDSHAKE_REVISIONS else Era.MODERN
