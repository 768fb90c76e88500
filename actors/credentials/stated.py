"""Who a caller is, as the Vault states it to services that exchange such statements for tokens."""

from collections.abc import Callable
from typing import Protocol

from actors.core.tokens.issued import Declined
from actors.refs.gone import ActorGone
from actors.transports.authorization import CredentialError


class Stater(Protocol):
    """Who signs; `actors.refs.vault.VaultRef` is one."""

    async def statement(self, principal: str, issuers: tuple[str, ...], audience: str) -> str | Declined:
        """See `Vault.statement`."""


class StatedSubjects:
    """Keeps the contract of `Subjects`. The Vault is looked for each time: it may be another one by now."""

    def __init__(self, find_vault: Callable[[], Stater]) -> None:
        self._find_vault = find_vault

    async def statement(self, principal: str, issuers: tuple[str, ...], audience: str) -> str:
        """See `Subjects.statement`."""
        try:
            made = await self._find_vault().statement(principal, issuers, audience)
        except ActorGone:
            raise CredentialError("nobody is there who could state who the caller is") from None
        if isinstance(made, Declined):
            raise CredentialError(made.reason)
        return made
