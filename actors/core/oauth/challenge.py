"""What a server says that refuses a request for want of authorization: its `WWW-Authenticate` (RFC 9110, 11.6.1)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_CHARS: Final = 8192
"""Longer challenges are not read."""

_PART: Final = re.compile(
    r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"(?:\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>[^\s,\"=]+)))?"
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What was said under the scheme `Bearer` (RFC 6750, RFC 9728)."""

    resource_metadata: str | None = None
    """The URL of what the server says of itself."""
    scopes: tuple[str, ...] = ()
    error: str = ""


NONE: Final = Challenge()


def read_challenge(values: Iterable[str]) -> Challenge:
    """The challenge in the values of the header; `NONE` if there is none for a bearer token."""
    text = ", ".join(values)
    if len(text) > MAX_CHARS:
        return NONE
    found: dict[str, str] = {}
    is_bearer = False
    for part in _PART.finditer(text):
        value = part["plain"] if part["quoted"] is None else re.sub(r"\\(.)", r"\1", part["quoted"])
        if value is None:
            is_bearer = part["name"].lower() == "bearer"
        elif is_bearer:
            found.setdefault(part["name"].lower(), value)
    return Challenge(found.get("resource_metadata"), tuple(found.get("scope", "").split()), found.get("error", ""))
