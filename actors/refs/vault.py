"""What you hold in order to talk to the Vault."""

from typing import Any

from actors.core.tokens.grant import Grant
from actors.core.tokens.issued import Declined, GrantFault, Shown, TokenEntry, TokenPair
from actors.core.tokens.key_record import KeyRecord
from actors.core.tokens.ledger import Ledger
from actors.core.tokens.revocations import Revocation, Revocations, Target
from actors.refs.asking import CALL_LIMIT, WATCH_SECONDS, ask


class VaultRef:
    """How everyone talks to the Vault.

    Every method raises `ActorGone` if there was no answer: what was to be changed may have been changed or not.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def watch(self, generation: str, version: int) -> Ledger:
        """See `Vault.watch`."""
        ledger: Ledger = await ask(self._handle.watch, generation, version, limit=WATCH_SECONDS + CALL_LIMIT)
        return ledger

    async def ledger(self) -> Ledger:
        """See `Vault.ledger`."""
        ledger: Ledger = await ask(self._handle.ledger)
        return ledger

    async def news(self, generation: str, version: int) -> Ledger | None:
        """See `Vault.news`."""
        ledger: Ledger | None = await ask(self._handle.news, generation, version)
        return ledger

    async def log_in(self, grant: Grant) -> TokenPair | Declined:
        """See `Vault.log_in`."""
        pair: TokenPair | Declined = await ask(self._handle.log_in, grant)
        return pair

    async def refresh(
        self, token: str, client: str, scopes: tuple[str, ...], resource: str | None = None
    ) -> TokenPair | GrantFault:
        """See `Vault.refresh`."""
        pair: TokenPair | GrantFault = await ask(self._handle.refresh, token, client, scopes, resource)
        return pair

    async def issue(self, grant: Grant, seconds: float) -> Shown | Declined:
        """See `Vault.issue`."""
        shown: Shown | Declined = await ask(self._handle.issue, grant, seconds)
        return shown

    async def tokens(self) -> tuple[TokenEntry, ...]:
        """See `Vault.tokens`."""
        entries: tuple[TokenEntry, ...] = await ask(self._handle.tokens)
        return entries

    async def end_token(self, name: str) -> Declined | None:
        """See `Vault.end_token`."""
        declined: Declined | None = await ask(self._handle.end_token, name)
        return declined

    async def end_text(self, token: str) -> Declined | None:
        """See `Vault.end_text`."""
        declined: Declined | None = await ask(self._handle.end_text, token)
        return declined

    async def keys(self) -> tuple[KeyRecord, ...]:
        """See `Vault.keys`."""
        records: tuple[KeyRecord, ...] = await ask(self._handle.keys)
        return records

    async def create_key(
        self, name: str, scopes: tuple[str, ...], groups: tuple[str, ...], seconds: float | None
    ) -> Shown | Declined:
        """See `Vault.create_key`."""
        shown: Shown | Declined = await ask(self._handle.create_key, name, scopes, groups, seconds)
        return shown

    async def rotate_key(self, name: str, overlap: float) -> Shown | Declined:
        """See `Vault.rotate_key`."""
        shown: Shown | Declined = await ask(self._handle.rotate_key, name, overlap)
        return shown

    async def delete_key(self, name: str) -> Declined | None:
        """See `Vault.delete_key`."""
        declined: Declined | None = await ask(self._handle.delete_key, name)
        return declined

    async def revocations(self) -> Revocations:
        """See `Vault.revocations`."""
        revocations: Revocations = await ask(self._handle.revocations)
        return revocations

    async def revoke(self, target: Target, value: str, issuer: str = "") -> Revocation | Declined:
        """See `Vault.revoke`."""
        made: Revocation | Declined = await ask(self._handle.revoke, target, value, issuer)
        return made

    async def forgive(self, name: str) -> Declined | None:
        """See `Vault.forgive`."""
        declined: Declined | None = await ask(self._handle.forgive, name)
        return declined

    async def credential(self, principal: str, server: str, issuer: str) -> bytes | None:
        """See `Vault.credential`."""
        value: bytes | None = await ask(self._handle.credential, principal, server, issuer)
        return value

    async def put_credential(self, principal: str, server: str, issuer: str, value: bytes) -> bool:
        """See `Vault.put_credential`."""
        return bool(await ask(self._handle.put_credential, principal, server, issuer, value))

    async def statement(self, principal: str, issuers: tuple[str, ...], audience: str) -> str | Declined:
        """See `Vault.statement`."""
        made: str | Declined = await ask(self._handle.statement, principal, issuers, audience)
        return made

    async def drop_credential(self, principal: str, server: str, issuer: str) -> None:
        """See `Vault.drop_credential`."""
        await ask(self._handle.drop_credential, principal, server, issuer)

    async def credential_issuers(self, principal: str, server: str) -> tuple[str, ...]:
        """See `Vault.credential_issuers`."""
        issuers: tuple[str, ...] = await ask(self._handle.credential_issuers, principal, server)
        return issuers

    async def claim(self, name: str, holder: str, seconds: float) -> bool:
        """See `Vault.claim`."""
        return bool(await ask(self._handle.claim, name, holder, seconds))

    async def claim_credential(self, principal: str, server: str, issuer: str, holder: str, seconds: float) -> bool:
        """See `Vault.claim_credential`."""
        return bool(await ask(self._handle.claim_credential, principal, server, issuer, holder, seconds))

    async def settle_credential(
        self, principal: str, server: str, issuer: str, holder: str, value: bytes | None
    ) -> bool:
        """See `Vault.settle_credential`."""
        return bool(await ask(self._handle.settle_credential, principal, server, issuer, holder, value))

    async def seal(self, principal: str, server: str, payload: bytes) -> str:
        """See `Vault.seal`."""
        return str(await ask(self._handle.seal, principal, server, payload))

    async def unseal(self, principal: str, server: str, text: str) -> tuple[bytes, str] | None:
        """See `Vault.unseal`."""
        opened: tuple[bytes, str] | None = await ask(self._handle.unseal, principal, server, text)
        return opened
