"""The answer of a token endpoint (RFC 6749, 5.1)."""

import math
from typing import Final

import msgspec

MAX_TOKEN_CHARS: Final = 16 * 1024
"""A longer one fits into no header that servers commonly take."""

DEFAULT_SECONDS: Final = 300.0
"""How long a token is used whose answer does not say; a server that refuses it before is believed."""

MAX_SECONDS: Final = 24 * 3600.0
"""How long a token is used at the most."""


class _Answer(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: float | None = None
    refresh_token: str | None = None
    scope: str | None = None


_decoder: Final = msgspec.json.Decoder(_Answer, strict=False)


class AccessToken(msgspec.Struct, frozen=True):
    """A token for a server, and for how many seconds it is good from its answer on."""

    text: str
    seconds: float
    refresh: str = ""
    """What gets the next one; empty if there is nothing of the kind."""
    scopes: tuple[str, ...] | None = None
    """What it is good for, if that is not what was asked for."""

    def __repr__(self) -> str:
        """Without the token."""
        return f"AccessToken(seconds={self.seconds!r})"


def read_token(body: bytes) -> AccessToken:
    """The token in an answer.

    Raises:
        ValueError: there is none, or one that is not sent in a header alone. The message repeats nothing of it.
    """
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("the answer of the token endpoint has no token") from None
    text, seconds = answer.access_token, answer.expires_in
    if answer.token_type.lower() != "bearer":
        raise ValueError("the token endpoint gives tokens that are not sent in a header alone")
    if not 0 < len(text) <= MAX_TOKEN_CHARS or not all("!" <= character <= "~" for character in text):
        raise ValueError("the token of the token endpoint cannot be written in a header")
    good = DEFAULT_SECONDS if seconds is None or math.isnan(seconds) else max(seconds, 0.0)
    refresh = answer.refresh_token or ""
    if len(refresh) > MAX_TOKEN_CHARS:
        raise ValueError("the refresh token of the token endpoint is too long to be kept")
    scopes = None if answer.scope is None else tuple(answer.scope.split())
    return AccessToken(text, min(good, MAX_SECONDS), refresh, scopes)
