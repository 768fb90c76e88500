"""Makes the keys of links. Only the command does so."""

import datetime as dt
import secrets
from collections.abc import Callable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from actors.core.link_keys import LinkKey, link_name

SECRET_BYTES: Final = 32

SKEW: Final = dt.timedelta(days=1)
"""How far the clock of another node may be behind."""

VALID: Final = dt.timedelta(days=3650)
"""A gateway may run for years without a new key, and no link may fail for its age. What bounds the use of a key is that
it leaves the ring, and its authority signs nothing more."""


def new_link_key(
    number: int, made_at: float, today: dt.datetime, random: Callable[[int], bytes] = secrets.token_bytes
) -> LinkKey:
    """A key with an authority of its own, whose private key nobody keeps. `today` has a time zone."""
    secret = random(SECRET_BYTES)
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    signed_by = _named(f"links {number}")
    encryption = serialization.BestAvailableEncryption(secret.hex().encode())
    private = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return LinkKey(
        number=number,
        secret=secret,
        authority=_pem(_authority(signed_by, authority, today)),
        certificate=_pem(_leaf(number, own.public_key(), signed_by, authority, today)),
        private_key=private.decode(),
        made_at=made_at,
    )


def _authority(name: x509.Name, key: ec.EllipticCurvePrivateKey, today: dt.datetime) -> x509.Certificate:
    builder = _begun(name, name, key.public_key(), today)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.sign(key, hashes.SHA256())


def _leaf(
    number: int,
    public: ec.EllipticCurvePublicKey,
    signed_by: x509.Name,
    authority: ec.EllipticCurvePrivateKey,
    today: dt.datetime,
) -> x509.Certificate:
    both_ends = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    name = x509.SubjectAlternativeName([x509.DNSName(link_name(number))])
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    builder = _begun(_named(f"link {number}"), signed_by, public, today)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(both_ends, critical=False)
    builder = builder.add_extension(name, critical=False)
    builder = builder.add_extension(signer, critical=False)
    return builder.sign(authority, hashes.SHA256())


def _begun(
    name: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, today: dt.datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(issuer, name, public, x509.random_serial_number(), today - SKEW, today + VALID)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
