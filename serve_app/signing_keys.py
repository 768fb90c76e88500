"""The keys that tokens are verified with, each tied to the one algorithm it may be used for.

Tying them is what defeats a token that names HS256 and is signed with the text of a public key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from actors.core.auth_settings import IssuerSettings

Material = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | bytes

HS256: Final = "HS256"
MIN_SECRET_BYTES: Final = 32
"""RFC 7518, section 3.2: a key of the size of the hash, or larger."""
MIN_RSA_BITS: Final = 2048
"""RFC 7518, section 3.3."""
MAX_KEYS: Final = 100
"""Keys read of one set; the rest is ignored."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key, the algorithm it is for, and the id its issuer gave it."""

    algorithm: str
    material: Material = field(repr=False)
    kid: str | None = None


def from_file(issuer: IssuerSettings, path: Path) -> SigningKey:
    """Read an issuer's key file: a PEM public key, or the shared secret of HS256, without its line end.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not hold a key for the issuer's algorithms, or the key is too weak.
    """
    content = path.read_bytes()
    if HS256 in issuer.algorithms:
        secret = content.rstrip(b"\r\n")
        if b"-----BEGIN" in secret or len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"{path} must hold a shared secret of at least {MIN_SECRET_BYTES} bytes, not a PEM key")
        return SigningKey(HS256, secret)
    try:
        material = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path} is not a PEM public key") from None
    key = _usable(material)
    if key is None or key.algorithm not in issuer.algorithms:
        raise ValueError(f"the key in {path} is too weak or not one for {', '.join(issuer.algorithms)}")
    return key


def from_jwks(document: bytes, algorithms: Sequence[str]) -> tuple[SigningKey, ...]:
    """Read the usable keys of a key set (RFC 7517); those of other kinds, or malformed ones, are left out.

    Raises:
        ValueError: the document is not a key set.
    """
    try:
        jwks = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
        entries = msgspec.json.decode(jwks.get("keys", msgspec.Raw()), type=list[dict[str, Any]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("not a JSON Web Key Set") from None
    keys = (from_jwk(entry) for entry in entries[:MAX_KEYS])
    return tuple(key for key in keys if key is not None and key.algorithm in algorithms)


def from_jwk(jwk: Mapping[str, Any]) -> SigningKey | None:
    """Read one key (RFC 7517); nothing if it is malformed, weak, or not one for signatures that can be checked."""
    try:
        for_signatures = jwk.get("use", "sig") == "sig" and "verify" in jwk.get("key_ops", ("verify",))
        if not for_signatures:
            return None
        key = _usable(jwt.PyJWK(dict(jwk)).key, jwk.get("kid"))
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if key is not None and jwk.get("alg", key.algorithm) == key.algorithm else None


def _usable(material: object, kid: object = None) -> SigningKey | None:
    if not isinstance(kid, str | None):
        return None
    if isinstance(material, RSAPublicKey) and material.key_size >= MIN_RSA_BITS:
        return SigningKey("RS256", material, kid)
    if isinstance(material, EllipticCurvePublicKey) and isinstance(material.curve, SECP256R1):
        return SigningKey("ES256", material, kid)
    if isinstance(material, Ed25519PublicKey):  # of the two curves that EdDSA may mean
        return SigningKey("EdDSA", material, kid)
    return None
