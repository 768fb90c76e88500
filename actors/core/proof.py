"""A proof that whoever sends a token has the key it is bound to, and whether it is one for this request.

Source: RFC 9449, section 4.3; RFC 7638 for the thumbprint. Signatures are checked elsewhere.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from actors.core.audience import canonical
from actors.core.claims import Moment, bytes_of
from actors.core.json_once import decode_object

ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")
"""Those a proof may be signed with."""

TYPE: Final = "dpop+jwt"

MAX_PROOF_BYTES: Final = 8 * 1024
"""One with the largest RSA key in use has less than 2 KiB."""

WINDOW_SECONDS: Final = 30.0
"""How far the clock of a client may be off, either way, its proof's travel included."""

_THUMBPRINT_MEMBERS: Final = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
"""In alphabetical order, as RFC 7638 wants them."""

_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof says of itself."""

    alg: str
    jwk: Mapping[str, Any]
    jti: Annotated[str, msgspec.Meta(min_length=1)]
    htm: str
    htu: str
    iat: Moment
    ath: str


def read_proof(text: str) -> Proof | None:
    """Read a proof in compact form; nothing if it is malformed, of another type, or brings no public key."""
    if len(text) > MAX_PROOF_BYTES:
        return None
    try:
        header_text, payload_text, _ = text.split(".")
        header, said = decode_object(bytes_of(header_text)), decode_object(bytes_of(payload_text))
        if header is None or said is None or header.get("typ") != TYPE or "crit" in header:
            return None
        proof = msgspec.convert({**said, "alg": header.get("alg"), "jwk": header.get("jwk")}, Proof)
    except ValueError:
        return None
    return proof if proof.alg in ALGORITHMS and _PRIVATE_MEMBERS.isdisjoint(proof.jwk) else None


def thumbprint(jwk: Mapping[str, Any]) -> str | None:
    """The name of a key, as tokens have it in `cnf.jkt`; nothing if a member is missing or no text."""
    names = _THUMBPRINT_MEMBERS.get(str(jwk.get("kty")), ())
    members = {name: jwk.get(name) for name in names}
    if not members or not all(isinstance(value, str) for value in members.values()):
        return None
    return _digest_of(json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode())


def fits(proof: Proof, *, method: str, url: str, token: bytes, now: float) -> bool:
    """Whether a proof is for this request: its verb, its URL without the query, its token, and about this moment."""
    return (
        proof.htm == method
        and _place(proof.htu) == _place(url)
        and abs(now - proof.iat) <= WINDOW_SECONDS
        and proof.ath == _digest_of(token)
    )


def _place(url: str) -> str:
    """A URL without query and fragment, in the form in which equal ones are equal (RFC 3986, 6.2.2 and 6.2.3)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return canonical(f"{parts.scheme}://{parts.netloc}{unquote(parts.path)}")


def _digest_of(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
