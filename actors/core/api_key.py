"""API keys: long random strings of which only the hash is stored.

A plain hash is enough, without salt or stretching: a key has 256 random bits, so there is nothing to guess.
"""

import hashlib
from typing import Final

PREFIX: Final = "o1m_"
"""Starts every key we make, so that people and secret scanners recognise one."""


def hash_of(key: str) -> str:
    """The form in which a key is stored: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"
