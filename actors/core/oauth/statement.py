"""What the gateway states about a caller, signed, to a service that exchanges such statements for tokens.

The caller's own token goes nowhere: not to the server, for which it was not given, and not to the service either, which
could use it against the gateway.
"""

import math
import re
from typing import Final

from actors.core.principal import Kind

STATEMENT_SECONDS: Final = 60.0
"""It is worth one exchange, at once."""

TYP: Final = "JWT"
"""In the header: no gateway takes it for an access token, nor does one that checks whom it is for."""

_KEY: Final = re.compile(r"(?P<kind>[a-z]+):(?P<length>\d{1,5}):(?P<rest>.*)", re.DOTALL)


def identity_of(key: str) -> tuple[str, str] | None:
    """The issuer and the subject in a `Principal.key`; nothing if it is not of somebody who has a token."""
    match = _KEY.fullmatch(key)
    if match is None or match["kind"] != Kind.TOKEN.value:
        return None
    length, rest = int(match["length"]), match["rest"]
    issuer, colon, subject = rest[:length], rest[length : length + 1], rest[length + 1 :]
    return (issuer, subject) if colon == ":" and issuer and subject else None


def statement_claims(
    own: str, issuer: str, subject: str, audience: str, *, token_id: str, now: float
) -> dict[str, object]:
    """The claims; `own` is the gateway's issuer, `now` in Unix seconds. `sub_id` (RFC 9493) has whose it is."""
    return {
        "iss": own,
        "sub": subject,
        "sub_id": {"format": "iss_sub", "iss": issuer, "sub": subject},
        "aud": audience,
        "iat": math.floor(now),
        "exp": math.ceil(now + STATEMENT_SECONDS),
        "jti": token_id,
    }
