"""What an administrator who wants something revoked means by it."""

import math
from typing import Final

from actors.core.api_key import PREFIX as KEY_PREFIX
from actors.core.api_key import hash_of
from actors.core.auth_settings import MAX_LIFE
from actors.core.principal import MAX_CREDENTIAL_BYTES
from actors.core.tokens.access import spoken_unverified
from actors.core.tokens.family import PREFIX as REFRESH_PREFIX
from actors.core.tokens.issued import Declined, No
from actors.core.tokens.key_record import key_id
from actors.core.tokens.key_ring import MARGIN_SECONDS
from actors.core.tokens.revocations import Revocation, Target

MAX_VALUE: Final = 512
"""Characters of an id, a subject, a client or an issuer: longer ones are credentials, or a mistake."""


def revocation_of(target: Target, value: str, issuer: str, now: float) -> Revocation | Declined:
    """The revocation that is meant; `now` is in Unix seconds, `issuer` whose it is, or empty for any.

    A token, or an API key, is known by its id or as it is. A token is believed here whatever signed it: who may revoke
    may revoke any. How long others are good is not known, so their revocations are kept for a year.
    """
    year = now + MAX_LIFE
    if target is Target.TOKEN:
        return _of_token(value, issuer, now)
    if not value.strip() or max(len(value), len(issuer)) > MAX_VALUE:
        return Declined(No.WRONG, f"must have 1 to {MAX_VALUE} characters")
    if target is Target.ISSUER:
        return Revocation(target, value, value, before=now, until=year)
    if target is Target.FAMILY:
        return Revocation(target, value, issuer, until=year)
    return Revocation(target, value, issuer, before=now, until=year)


def _of_token(text: str, issuer: str, now: float) -> Revocation | Declined:
    year = now + MAX_LIFE
    if len(text) > MAX_CREDENTIAL_BYTES or not text.strip():
        return Declined(No.WRONG, "that is no token, and no id of one")
    if text.startswith(KEY_PREFIX):
        return Revocation(Target.TOKEN, key_id(hash_of(text)), until=year)
    if text.startswith(REFRESH_PREFIX):
        return Declined(No.UNKNOWN, "this refresh token is not known, or its login has ended")
    if text.count(".") != 2:
        well = len(text) <= MAX_VALUE
        return Revocation(Target.TOKEN, text, issuer, until=year) if well else Declined(No.WRONG, "that is no token")
    said = spoken_unverified(text)
    if said is None:
        return Declined(No.WRONG, "that is no token")
    if not said.jti:
        return Declined(No.WRONG, "the token has no id (`jti`): revoke its subject, or its client")
    until = said.exp + MARGIN_SECONDS if math.isfinite(said.exp) and said.exp > 0 else year
    return Revocation(Target.TOKEN, said.jti, said.iss, until=min(until, year))
