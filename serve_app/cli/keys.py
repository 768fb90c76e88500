"""`only1mcp key`: makes an API key."""

import secrets
from collections.abc import Callable
from typing import Final, TextIO

from actors.core.api_key import PREFIX, hash_of

KEY_BYTES: Final = 32
"""256 bits, so that a plain hash of it cannot be reversed."""


def key(out: TextIO, token: Callable[[int], str] = secrets.token_urlsafe) -> int:
    """Print a new API key, which is stored nowhere, and its hash for the configuration. Returns the exit code, 0."""
    made = PREFIX + token(KEY_BYTES)
    out.write(
        f"Give this key to its user; it is not stored and not shown again:\n\n  {made}\n\n"
        "Put its hash into the configuration:\n\n"
        f'  auth:\n    api_keys:\n      - name: choose-a-name\n        hash: "{hash_of(made)}"\n'
    )
    return 0
