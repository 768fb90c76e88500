"""Where users' tokens are kept that several replicas share: the Vault."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from actors.refs.gone import ActorGone
from actors.transports.authorization import CredentialError

GONE: Final = "the gateway cannot look after tokens right now; try again soon"


class Keeper(Protocol):
    """Who keeps them; `actors.refs.vault.VaultRef` is one."""

    async def credential(self, principal: str, server: str, issuer: str) -> bytes | None:
        """See `Vault.credential`."""

    async def put_credential(self, principal: str, server: str, issuer: str, value: bytes) -> bool:
        """See `Vault.put_credential`."""

    async def drop_credential(self, principal: str, server: str, issuer: str) -> None:
        """See `Vault.drop_credential`."""

    async def credential_issuers(self, principal: str, server: str) -> tuple[str, ...]:
        """See `Vault.credential_issuers`."""

    async def claim(self, name: str, holder: str, seconds: float) -> bool:
        """See `Vault.claim`."""

    async def claim_credential(self, principal: str, server: str, issuer: str, holder: str, seconds: float) -> bool:
        """See `Vault.claim_credential`."""

    async def settle_credential(
        self, principal: str, server: str, issuer: str, holder: str, value: bytes | None
    ) -> bool:
        """See `Vault.settle_credential`."""

    async def seal(self, principal: str, server: str, payload: bytes) -> str:
        """See `Vault.seal`."""

    async def unseal(self, principal: str, server: str, text: str) -> tuple[bytes, str] | None:
        """See `Vault.unseal`."""


class KeptCredentials:
    """Keeps the contract of `Keeper`, but for what is raised. The Vault is looked for each time: it may be another one
    by now.

    Every method raises `CredentialError` if nobody answers.
    """

    def __init__(self, find_vault: Callable[[], Keeper]) -> None:
        self._find_vault = find_vault

    async def credential(self, principal: str, server: str, issuer: str) -> bytes | None:
        """See `Vault.credential`."""
        with _answering():
            return await self._find_vault().credential(principal, server, issuer)

    async def put_credential(self, principal: str, server: str, issuer: str, value: bytes) -> bool:
        """See `Vault.put_credential`."""
        with _answering():
            return await self._find_vault().put_credential(principal, server, issuer, value)

    async def drop_credential(self, principal: str, server: str, issuer: str) -> None:
        """See `Vault.drop_credential`."""
        with _answering():
            await self._find_vault().drop_credential(principal, server, issuer)

    async def credential_issuers(self, principal: str, server: str) -> tuple[str, ...]:
        """See `Vault.credential_issuers`."""
        with _answering():
            return await self._find_vault().credential_issuers(principal, server)

    async def claim(self, name: str, holder: str, seconds: float) -> bool:
        """See `Vault.claim`."""
        with _answering():
            return await self._find_vault().claim(name, holder, seconds)

    async def claim_credential(self, principal: str, server: str, issuer: str, holder: str, seconds: float) -> bool:
        """See `Vault.claim_credential`."""
        with _answering():
            return await self._find_vault().claim_credential(principal, server, issuer, holder, seconds)

    async def settle_credential(
        self, principal: str, server: str, issuer: str, holder: str, value: bytes | None
    ) -> bool:
        """See `Vault.settle_credential`."""
        with _answering():
            return await self._find_vault().settle_credential(principal, server, issuer, holder, value)

    async def seal(self, principal: str, server: str, payload: bytes) -> str:
        """See `Vault.seal`."""
        with _answering():
            return await self._find_vault().seal(principal, server, payload)

    async def unseal(self, principal: str, server: str, text: str) -> tuple[bytes, str] | None:
        """See `Vault.unseal`."""
        with _answering():
            return await self._find_vault().unseal(principal, server, text)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except ActorGone:
        raise CredentialError(GONE) from None
