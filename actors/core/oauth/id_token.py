"""Whether an ID token proves the login that somebody began (OpenID Connect Core 1.0, section 3.1.3.7).

Signatures are checked elsewhere. Nothing here is to be believed of a token whose signature was not.
"""

import hmac
from collections.abc import Mapping
from typing import Any, Final

from actors.core.audience import Audience
from actors.core.auth_settings import IssuerSettings, LoginSettings
from actors.core.claims import Claims, Header, judge
from actors.core.tokens.grant import MAX_WORD, words_fault

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
"""Of ID tokens. HS256 would be signed with the client's secret, which a public client has not."""

MAX_AGE_SECONDS: Final = 600.0
"""An ID token comes in answer to a code, at once; an older one was kept by somebody."""


def issuer_of(login: LoginSettings) -> IssuerSettings:
    """A provider of logins as an issuer whose tokens are for nobody but the gateway as its client."""
    return IssuerSettings(
        issuer=login.issuer,
        audience=login.client_id,
        algorithms=ALGORITHMS,
        groups_claim=login.groups_claim,
        leeway_seconds=login.leeway_seconds,
    )


def fault_of(
    header: Header, said: Mapping[str, Any], claims: Claims, login: LoginSettings, *, nonce: str, now: float
) -> str:
    """Why a token does not prove this login, or nothing; `now` is in Unix seconds. Rungs, in order:

    1. It says of itself that it is no token for another purpose.
    2. Its provider issued it, for the gateway and for nobody else.
    3. It is neither expired nor old nor from the future.
    4. It belongs to the login that was begun with `nonce`.
    """
    if header.typ is not None and header.typ.upper() != "JWT":
        return "the ID token is a token for something else"
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    refusal = judge(claims, issuer_of(login), Audience(login.client_id, None), now)
    if refusal is not None:
        return f"the ID token is {refusal.value}"
    if set(audiences) != {login.client_id} or claims.azp not in ("", login.client_id):
        return "the ID token is for others, too"
    if not now - MAX_AGE_SECONDS - login.leeway_seconds <= claims.iat:
        return "the ID token is old, or does not say when it was made"
    found = said.get("nonce")
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), nonce.encode()):
        return "the ID token is for another login: its nonce is not the one that was sent"
    return ""


def person_fault(subject: str, groups: tuple[str, ...]) -> str:
    """Why a person cannot stand in a token of the gateway's own, or nothing."""
    if len(subject) > MAX_WORD or not subject.isprintable():
        return f"a subject has at most {MAX_WORD} printable characters"
    # none is left out in silence: a rule may deny what a member of it may do
    return words_fault((), groups)
