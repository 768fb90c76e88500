"""The claims of an access token of the gateway's own (RFC 9068)."""

import math
from typing import Final

import msgspec

from actors.core.claims import bytes_of
from actors.core.tokens.grant import Grant
from actors.core.tokens.own_issuer import OwnIssuer

TYP: Final = "at+jwt"
"""In the header: by it nobody takes another kind of token for one of these."""


def access_claims(
    grant: Grant, own: OwnIssuer, *, token_id: str, family: str, now: float, seconds: float
) -> dict[str, object]:
    """What is signed; `now` in Unix seconds, `seconds` is how long the token is good.

    `iat` is exact to the millisecond, so that one made right after a revocation is told from those before it.
    """
    issued = math.floor(now * 1e3) / 1e3
    claims: dict[str, object] = {
        "iss": own.issuer,
        "sub": grant.subject,
        "aud": own.audience + grant.resource,
        "client_id": grant.client,
        "iat": issued,
        "nbf": issued,
        "exp": math.ceil(now + seconds),
        "jti": token_id,
        "scope": " ".join(grant.scopes),
    }
    more = {
        "groups": list(grant.groups),
        "amr": list(grant.amr),
        "acr": grant.acr,
        "auth_time": grant.auth_time,
        "sid": family,
    }
    return claims | {name: value for name, value in more.items() if value}


class Spoken(msgspec.Struct, frozen=True):
    """What a token says of itself that a revocation needs; what it does not say is empty."""

    iss: str
    jti: str = ""
    sid: str = ""
    exp: float = 0.0


_decoder: Final = msgspec.json.Decoder(Spoken)


def spoken(payload: bytes) -> Spoken | None:
    """Decode the payload of a token; nothing if it is of no use."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def spoken_unverified(token: str) -> Spoken | None:
    """The same of a token whose signature nobody has checked; nothing if it is malformed."""
    parts = token.split(".")
    try:
        return spoken(bytes_of(parts[1])) if len(parts) == 3 else None
    except ValueError:
        return None
