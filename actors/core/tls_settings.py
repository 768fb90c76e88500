"""The settings for TLS at the door."""

from dataclasses import dataclass
from typing import ClassVar, Final

from actors.core.rules import STRICT, require

VERSIONS: Final = ("1.2", "1.3")
"""Older ones are broken (RFC 8996)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """How clients reach the gateway encrypted. All files are PEM, and are looked at again while the gateway runs."""

    __pydantic_config__: ClassVar = STRICT

    certificate: str
    """File with the certificate of the gateway, and with those between it and the one that clients trust."""
    key: str
    """File with its private key, without a password."""
    client_ca: str | None = None
    """File with the certificates that those of clients must be signed by; without it clients need none."""
    min_version: str = "1.2"
    """The oldest version of TLS that is spoken, `1.2` or `1.3`."""

    def __post_init__(self) -> None:
        require(
            (("certificate",), bool(self.certificate.strip()), "must name a file"),
            (("key",), bool(self.key.strip()), "must name a file"),
            (("client_ca",), self.client_ca is None or bool(self.client_ca.strip()), "must name a file"),
            (("min_version",), self.min_version in VERSIONS, f"must be {' or '.join(VERSIONS)}"),
        )
