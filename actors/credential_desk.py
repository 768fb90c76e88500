"""The Vault's desk for what users have at upstream servers, encrypted. Its methods wait for the disk."""

from collections.abc import Callable
from typing import Final

from actors.core.seal import NONCE_BYTES, Seal
from actors.vault_file import VaultFile

MAX_CREDENTIALS: Final = 100_000
"""For upstream servers, of all principals."""

MAX_CREDENTIAL_BYTES: Final = 64 * 1024

MAX_CLAIMS: Final = 100_000
"""Held at once; their time is minutes."""


class CredentialDesk:
    """The credentials, and who may change them. Times are Unix seconds, `principal` is `Principal.key`."""

    def __init__(
        self,
        file: VaultFile,
        secret: bytes,
        random: Callable[[int], bytes],
        *,
        max_credentials: int = MAX_CREDENTIALS,
    ) -> None:
        """`secret` is the gateway's."""
        self._file = file
        self._random = random
        self._max_credentials = max_credentials
        self._kept = Seal(secret, "vault credentials")
        self._carried = Seal(secret, "upstream consents")

    def get(self, principal: str, server: str, issuer: str) -> bytes | None:
        """What is kept of a principal for an upstream server, as its issuer gave it."""
        text = self._file.credential(principal, server, issuer)
        opened = None if text is None else self._kept.open(text, _owner(principal, server, issuer))
        return None if opened is None else opened[0]

    def issuers(self, principal: str, server: str) -> tuple[str, ...]:
        """Whose credentials are kept of a principal for an upstream server, in alphabetical order."""
        return self._file.credential_issuers(principal, server)

    def put(self, principal: str, server: str, issuer: str, value: bytes) -> bool:
        """Keep it in place of what was there, whoever has a claim to that; false if there is no room."""
        with self._file.transaction():
            if not self._has_room(principal, server, issuer, value):
                return False
            self._change(principal, server, issuer, value)
        return True

    def drop(self, principal: str, server: str, issuer: str) -> None:
        """Let go of it, whoever has a claim to it."""
        with self._file.transaction():
            self._change(principal, server, issuer, None)

    def claim(self, name: str, holder: str, seconds: float, now: float) -> bool:
        """Whether a name is free, and the holder's for so many seconds from now on. Nobody else gets it meanwhile."""
        with self._file.transaction():
            return self._file.count("claims") < MAX_CLAIMS and self._file.claim(name, holder, now, now + seconds)

    def claim_credential(
        self, principal: str, server: str, issuer: str, holder: str, seconds: float, now: float
    ) -> bool:
        """The same for the right to change a credential by `settle`; `put` and `drop` end it."""
        return self.claim(_owner(principal, server, issuer), holder, seconds, now)

    def settle(self, principal: str, server: str, issuer: str, holder: str, value: bytes | None) -> bool:
        """Change a credential, or let go of it, and of the claim to it; false and nothing done if that is lost.

        A claim whose time is over counts as long as nobody else has taken it.
        """
        with self._file.transaction():
            if value is not None and not self._has_room(principal, server, issuer, value):
                return False
            if self._file.claimant(_owner(principal, server, issuer)) != holder:
                return False
            self._change(principal, server, issuer, value)
            return True

    def seal(self, principal: str, server: str, payload: bytes) -> str:
        """A text that only `unseal` can read, for the same principal and server; others carry it for us."""
        return self._carried.close(payload, _owner(principal, server, ""), self._random(NONCE_BYTES))

    def unseal(self, principal: str, server: str, text: str) -> tuple[bytes, str] | None:
        """What a text holds that `seal` has made, and a name that no other text has; nothing if it is none of these."""
        opened = self._carried.open(text, _owner(principal, server, ""))
        return None if opened is None else (opened[0], opened[1].hex())

    def _has_room(self, principal: str, server: str, issuer: str, value: bytes) -> bool:
        if len(value) > MAX_CREDENTIAL_BYTES:
            return False
        is_there = self._file.credential(principal, server, issuer) is not None
        return is_there or self._file.count("credentials") < self._max_credentials

    def _change(self, principal: str, server: str, issuer: str, value: bytes | None) -> None:
        owner = _owner(principal, server, issuer)
        self._file.unclaim(owner)  # who renews what was there has the wrong one
        if value is None:
            self._file.drop_credential(principal, server, issuer)
        else:
            sealed = self._kept.close(value, owner, self._random(NONCE_BYTES))
            self._file.put_credential(principal, server, issuer, sealed)


def _owner(principal: str, server: str, issuer: str) -> str:
    """The place that a sealed text is bound to: moved to another one, it does not open."""
    return f"{len(principal)}:{principal}:{len(server)}:{server}:{issuer}"
