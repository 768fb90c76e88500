"""Real keys and the tokens and key sets made of them."""

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from actors.core.auth_settings import IssuerSettings

ISSUER = "https://issuer.example"
AUDIENCE = "https://gateway.example/mcp"
SECRET = b"a shared secret of more than thirty-two bytes"


def rsa_key(name: str = "first", bits: int = 2048) -> rsa.RSAPrivateKey:
    """The key of that name, always the same."""
    return _rsa_keys(name, bits)


def ec_key(name: str = "first", curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """The key of that name, always the same."""
    return _ec_keys(name, curve)


@cache
def ed_key(name: str = "first") -> Ed25519PrivateKey:
    """The key of that name, always the same."""
    return Ed25519PrivateKey.generate()


@cache
def _rsa_keys(name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def _ec_keys(name: str, curve: type[ec.EllipticCurve]) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def pem(key: Any) -> bytes:
    content: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return content


def key_file(folder: Path, content: bytes) -> str:
    path = folder / "key"
    path.write_bytes(content)
    return str(path)


def issuer(**changes: Any) -> IssuerSettings:
    return IssuerSettings(**{"issuer": ISSUER, "audience": AUDIENCE, **changes})


def claims(now: float, **changes: Any) -> dict[str, Any]:
    """Good claims; a change to `None` leaves the claim out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(payload: dict[str, Any], key: Any, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode(payload, key, algorithm, header or None)


def segment(value: bytes | dict[str, Any]) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def jwk(key: Any, kid: str, **members: Any) -> dict[str, Any]:
    return {**public_jwk(key), "kid": kid, **members}


def public_jwk(key: Any) -> dict[str, Any]:
    """The public key as a JWK, with nothing but what it needs."""
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        found = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(key, Ed25519PrivateKey):
        found = jwt.algorithms.OKPAlgorithm.to_jwk(public, as_dict=True)
    else:
        found = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
    return {name: value for name, value in found.items() if name != "key_ops"}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()
