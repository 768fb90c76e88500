"""What a bearer token says, and whether that is enough.

Signatures are checked elsewhere. Nothing here is to be believed of a token whose signature was not.
"""

import base64
import math
from typing import Annotated, Final

import msgspec

from actors.core.auth_settings import IssuerSettings
from actors.core.principal import Kind, Principal, Refusal

Words = str | tuple[str, ...]
"""Scopes are one string with spaces (RFC 8693) or a list, depending on the issuer."""


class Header(msgspec.Struct, frozen=True):
    """The part of a token's header that chooses the key."""

    alg: str
    kid: str | None = None


class Claims(msgspec.Struct, frozen=True):
    """The claims we read (RFC 7519, RFC 9068). Times are Unix seconds; those without a default are required."""

    iss: str
    sub: Annotated[str, msgspec.Meta(min_length=1)]
    aud: str | tuple[str, ...]
    exp: float
    nbf: float = -math.inf
    iat: float = -math.inf
    scope: Words = ()
    scp: Words = ()

    @property
    def principal(self) -> Principal:
        """Whom the token is about."""
        return Principal(self.sub, self.iss, Kind.TOKEN, _words(self.scope) or _words(self.scp))


_header_decoder: Final = msgspec.json.Decoder(Header)
_claims_decoder: Final = msgspec.json.Decoder(Claims)


def decode_claims(payload: bytes) -> Claims | None:
    """Decode a token's payload; nothing if a required claim is missing or any has the wrong type."""
    try:
        return _claims_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_unverified(token: str) -> tuple[Header, Claims] | None:
    """Decode a token in compact form (RFC 7515) without checking its signature; nothing if it is malformed."""
    try:
        header_text, payload_text, _ = token.split(".")
        header = _header_decoder.decode(_bytes_of(header_text))
        claims = decode_claims(_bytes_of(payload_text))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return None if claims is None else (header, claims)


def judge(claims: Claims, issuer: IssuerSettings, now: float) -> Refusal | None:
    """Judge the claims of a token whose signature is good; `now` in Unix seconds. Rungs, in order:

    1. It is from this issuer and for this audience.
    2. Its times are finite, it was not issued in the future and is valid already, give or take the leeway.
    3. It has not expired, give or take the leeway.
    """
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    if claims.iss != issuer.issuer or issuer.audience not in audiences:
        return Refusal.INVALID
    if not math.isfinite(claims.exp) or max(claims.nbf, claims.iat) > now + issuer.leeway_seconds:
        return Refusal.INVALID
    if time_left(claims, issuer, now) <= 0:
        return Refusal.EXPIRED
    return None


def time_left(claims: Claims, issuer: IssuerSettings, now: float) -> float:
    """Seconds until `judge` will call the token expired."""
    return claims.exp + issuer.leeway_seconds - now


def _words(value: Words) -> tuple[str, ...]:
    return tuple(value.split()) if isinstance(value, str) else value


def _bytes_of(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
