"""Proofs of real keys, as clients that speak DPoP make them."""

import base64
import hashlib
from typing import Any

import jwt

from actors.core.proof import thumbprint
from tests.support.tokens import public_jwk


def proof(key: Any, now: float, algorithm: str = "ES256", *, token: str, url: str, **changes: Any) -> str:
    """A good proof; a change to `None` leaves the claim out, and `header` changes its header in the same way."""
    ath = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    header = {"typ": "dpop+jwt", "jwk": public_jwk(key), **changes.pop("header", {})}
    payload = {"jti": "p-1", "htm": "POST", "htu": url, "iat": now, "ath": ath, **changes}
    return jwt.encode(_without_none(payload), key, algorithm, _without_none(header))


def name_of(key: Any) -> str:
    """The thumbprint of a key."""
    name = thumbprint(public_jwk(key))
    assert name is not None
    return name


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
