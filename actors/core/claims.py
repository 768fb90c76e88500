"""What a bearer token says, and whether that is enough.

Signatures are checked elsewhere. Nothing here is to be believed of a token whose signature was not.
"""

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from actors.core.audience import Audience
from actors.core.auth_settings import IssuerSettings
from actors.core.json_once import decode_object
from actors.core.principal import Kind, Principal, Refusal

Words = str | tuple[str, ...]
"""Scopes are one string with spaces (RFC 8693) or a list, depending on the issuer."""

MAX_MOMENT: Final = 253_402_300_800.0
"""The year 10000 in Unix seconds. Whoever names a later moment counts in milliseconds, or wants no end."""

ACCESS_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""What a header may say that an access token is (RFC 9068; RFC 7519); others name tokens for other purposes."""

MARKS_OF_OTHERS: Final = frozenset({"at_hash", "c_hash", "events"})
"""Claims of ID tokens (OpenID Connect Core, 3.1.3.6 and 3.3.2.11), and of logout tokens and the like (RFC 8417)."""

OTHER_TYPES: Final = frozenset({"id", "refresh", "offline", "logout"})
"""What Keycloak says in a claim `typ` of tokens that are no access tokens."""

Moment = Annotated[float, msgspec.Meta(ge=0, lt=MAX_MOMENT)]


class Header(msgspec.Struct, frozen=True):
    """The part of a token's header that matters. Keys it brings along or points to are not looked at."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: object = None


class Actor(msgspec.Struct, frozen=True):
    """Who acts on behalf of the subject (RFC 8693, section 4.1)."""

    sub: str = ""


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key that a token is bound to (RFC 7800). A binding of another kind cannot be checked, and is refused."""

    jkt: Annotated[str, msgspec.Meta(min_length=1)]


class Claims(msgspec.Struct, frozen=True):
    """The claims we read (RFC 7519, RFC 9068). Times are Unix seconds; those without a default are required."""

    iss: str
    sub: Annotated[str, msgspec.Meta(min_length=1)]
    aud: Words
    exp: Moment
    nbf: Moment = 0.0
    iat: Moment = 0.0
    scope: Words = ()
    scp: Words = ()
    azp: str = ""
    jti: str = ""
    sid: str = ""
    amr: Words = ()
    acr: str | int = ""
    auth_time: Moment | None = None
    act: Actor = Actor()
    cnf: Confirmation | None = None


def read_unverified(token: str) -> tuple[Header, str] | None:
    """The header and the `iss` of a token in compact form (RFC 7515), unchecked; nothing if it is malformed.

    A token that names extensions which must be understood is malformed, since none is.
    """
    try:
        header_text, payload_text, _ = token.split(".")
        found, said = decode_object(bytes_of(header_text)), decode_object(bytes_of(payload_text))
        header = msgspec.convert(found, Header)
    except ValueError:
        return None
    if said is None or not isinstance(said.get("iss"), str) or "crit" in (found or {}):
        return None
    return header, said["iss"]


def read_claims(said: Mapping[str, Any]) -> Claims | None:
    """The claims of a payload; nothing if a required one is missing or one has the wrong type. `null` is missing."""
    try:
        return msgspec.convert({name: value for name, value in said.items() if value is not None}, Claims)
    except msgspec.ValidationError:
        return None


def is_access_token(header: Header, said: Mapping[str, Any]) -> bool:
    """Whether nothing tells that a token is for another purpose; an ID token proves a login, and opens nothing."""
    if header.typ is not None and header.typ.lower() not in ACCESS_TYPES:
        return False
    kind = said.get("typ")
    return MARKS_OF_OTHERS.isdisjoint(said) and not (isinstance(kind, str) and kind.lower() in OTHER_TYPES)


def judge(claims: Claims, issuer: IssuerSettings, audience: Audience, now: float) -> Refusal | None:
    """Judge the claims of a token whose signature is good; `now` in Unix seconds. Rungs, in order:

    1. It is from this issuer and for this audience.
    2. It was not issued in the future, is valid already, and nobody logged in later, give or take the leeway.
    3. It has not expired, give or take the leeway.
    """
    if claims.iss != issuer.issuer or not audience.admits(audiences(claims)):
        return Refusal.INVALID
    if max(claims.nbf, claims.iat, claims.auth_time or 0.0) > now + issuer.leeway_seconds:
        return Refusal.INVALID
    if time_left(claims, issuer, now) <= 0:
        return Refusal.EXPIRED
    return None


def audiences(claims: Claims) -> tuple[str, ...]:
    """Whom a token is for, by its own words."""
    return (claims.aud,) if isinstance(claims.aud, str) else claims.aud


def time_left(claims: Claims, issuer: IssuerSettings, now: float) -> float:
    """Seconds until `judge` will call the token expired."""
    return claims.exp + issuer.leeway_seconds - now


def principal_of(claims: Claims, said: Mapping[str, Any], issuer: IssuerSettings) -> Principal:
    """Whom a token is about; `said` are all of its claims, `claims` those of them that have a fixed name."""
    client = find(said, issuer.client_claim)
    return Principal(
        claims.sub,
        claims.iss,
        Kind.TOKEN,
        _words(claims.scope) or _words(claims.scp),
        client=client if isinstance(client, str) and client else claims.azp,
        groups=_texts(find(said, issuer.groups_claim)),
        amr=_words(claims.amr),
        acr=str(claims.acr),
        auth_time=claims.auth_time,
        token_id=claims.jti,
        family=claims.sid,
        issued_at=claims.iat,
        actor=claims.act.sub,
        key_thumbprint="" if claims.cnf is None else claims.cnf.jkt,
    )


def find(said: Mapping[str, Any], name: str) -> object:
    """A claim, if there is one of just that name; else, if the name has dots, the member of a member."""
    if name in said:
        return said[name]
    found: object = said
    for step in name.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def bytes_of(segment: str) -> bytes:
    """The bytes of a base64url text without padding.

    Raises:
        ValueError: it is not one.
    """
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _words(value: Words) -> tuple[str, ...]:
    return tuple(value.split()) if isinstance(value, str) else value


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
