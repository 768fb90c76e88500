"""What the Vault tells those who verify: never a secret, and all of it at once."""

import msgspec

from actors.core.tokens.key_record import KeyRecord
from actors.core.tokens.revocations import Revocations


class Ledger(msgspec.Struct, frozen=True):
    """As of one version; versions compare within one generation, which is a life of the Vault."""

    generation: str = ""
    version: int = 0
    jwks: bytes = b'{"keys":[]}'
    """The public keys of the gateway's own tokens."""
    keys: tuple[KeyRecord, ...] = ()
    revocations: Revocations = Revocations()
