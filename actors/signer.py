"""Signs the tokens of the gateway's own, with the newest key of its ring.

Private keys are kept sealed under a key drawn from the gateway's secret, which lies in the state file: who has read
the vault alone can sign nothing, as with a backup of that one file.
"""

from typing import Any, Final

import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from actors.core.auth_settings import TokenSettings
from actors.core.seal import NONCE_BYTES, Seal
from actors.core.tokens.access import TYP, Spoken, spoken
from actors.core.tokens.key_ring import KeyRing, RingKey, thumbprint
from actors.vault_file import VaultFile

PURPOSE: Final = "vault signing keys"

RSA_BITS: Final = 2048

log = structlog.get_logger()


class Signer:
    """The ring of one gateway. All methods wait for the disk or for the processor."""

    def __init__(self, file: VaultFile, settings: TokenSettings, secret: bytes, random: Any) -> None:
        """`random` gives as many random bytes as it is asked for; keys themselves come from the library's own."""
        self._file = file
        self._settings = settings
        self._seal = Seal(secret, PURPOSE)
        self._random = random
        self._opened: tuple[str, Any] | None = None
        self.ring: KeyRing = file.ring()

    def sign(self, claims: dict[str, object], now: float, typ: str = TYP) -> str:
        """A token with these claims; `typ` says in its header what it is."""
        key, private = self._current(now)
        return jwt.encode(claims, private, key.algorithm, {"kid": key.kid, "typ": typ})

    def look_round(self, now: float) -> None:
        """Make a new key if it is time for one, and drop those that nobody needs."""
        self._current(now)
        kept = self.ring.kept(self._settings, now)
        if kept != self.ring:
            self._keep(kept)

    def read(self, token: str) -> Spoken | None:
        """What a token says that one of these keys has signed, also if it has expired; nothing of any other."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = next((key for key in self.ring.keys if key.kid == kid), None)
            if key is None:
                return None
            public = jwt.PyJWK(msgspec.json.decode(key.public)).key
            found = jwt.PyJWS([key.algorithm]).decode_complete(token, public, [key.algorithm])
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        return spoken(found["payload"])

    def _current(self, now: float) -> tuple[RingKey, Any]:
        key = self.ring.current(self._settings, now)
        if key is not None and self._opened is not None and self._opened[0] == key.kid:
            return key, self._opened[1]
        private = None if key is None else self._open(key)
        if key is None or private is None:
            key, private = _made(self._settings.algorithm, now, self._seal, self._random(NONCE_BYTES))
            self._keep(self.ring.with_new(key, now).kept(self._settings, now))
            log.info("signing_key_made", kid=key.kid, algorithm=key.algorithm, keys=len(self.ring.keys))
        self._opened = key.kid, private
        return key, private

    def _open(self, key: RingKey) -> Any:
        opened = self._seal.open(key.private, key.kid)
        if opened is None:
            log.warning("signing_key_unreadable", kid=key.kid)  # the state file is another one: so is the secret
            return None
        return load_der_private_key(opened[0], None)

    def _keep(self, ring: KeyRing) -> None:
        self._file.put_ring(ring)
        self.ring = ring


def _made(algorithm: str, now: float, seal: Seal, nonce: bytes) -> tuple[RingKey, Any]:
    private: Any
    jwk: dict[str, Any]
    if algorithm == "RS256":
        private = generate_rsa(public_exponent=65537, key_size=RSA_BITS)
        jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    elif algorithm == "EdDSA":
        private = Ed25519PrivateKey.generate()
        jwk = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    else:
        private = generate_private_key(SECP256R1())
        jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    kid = thumbprint(jwk)
    public = msgspec.json.encode({**jwk, "kid": kid, "alg": algorithm, "use": "sig"})
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return RingKey(kid, algorithm, now, public, seal.close(der, kid, nonce)), private
