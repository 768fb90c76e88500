"""The keys that the gateway signs its own tokens with: one signs, those before it still verify.

```
 made ─▶ current ─(rotation_seconds, or another algorithm)─▶ retired ─(no token it signed is good any more)─▶ dropped
```
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from actors.core.auth_settings import TokenSettings

MARGIN_SECONDS: Final = 60.0
"""A key is kept so much longer than its tokens are good: clocks differ."""

_MEMBERS: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


class RingKey(msgspec.Struct, frozen=True):
    """One key. Times are Unix seconds."""

    kid: str
    """Its thumbprint, see `thumbprint`."""
    algorithm: str
    made_at: float
    public: bytes
    """A JWK (RFC 7517), with `kid`, `alg` and `use`."""
    private: str
    """Sealed."""
    retired_at: float | None = None

    def __repr__(self) -> str:
        return f"RingKey({self.kid})"


class KeyRing(msgspec.Struct, frozen=True):
    """All that verify, the newest first."""

    keys: tuple[RingKey, ...] = ()

    def current(self, settings: TokenSettings, now: float) -> RingKey | None:
        """The key to sign with; nothing if it is time for a new one."""
        first = self.keys[0] if self.keys else None
        if first is None or first.retired_at is not None or first.algorithm != settings.algorithm:
            return None
        return first if now - first.made_at < settings.rotation_seconds else None

    def with_new(self, key: RingKey, now: float) -> "KeyRing":
        """This key signs from now on."""
        old = (each if each.retired_at is not None else _retired(each, now) for each in self.keys)
        return KeyRing((key, *old))

    def kept(self, settings: TokenSettings, now: float) -> "KeyRing":
        """Without keys none of whose tokens is good any more."""
        life = longest_seconds(settings) + MARGIN_SECONDS
        return KeyRing(tuple(key for key in self.keys if key.retired_at is None or now < key.retired_at + life))

    def jwks(self) -> bytes:
        """The public keys as a set (RFC 7517)."""
        return msgspec.json.encode({"keys": [msgspec.Raw(key.public) for key in self.keys]})


def longest_seconds(settings: TokenSettings) -> float:
    """How long any token may be good: as long as `keys_kept` keys in turn are kept after they have signed it."""
    return max(settings.access_seconds, settings.rotation_seconds * (settings.keys_kept - 1))


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Of a public key (RFC 7638, with SHA-256)."""
    members = {name: jwk[name] for name in _MEMBERS[jwk["kty"]]}
    digest = hashlib.sha256(msgspec.json.encode(members)).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _retired(key: RingKey, now: float) -> RingKey:
    return msgspec.structs.replace(key, retired_at=now)
