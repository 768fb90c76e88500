"""The Vault's desk for revocations. Its methods wait for the disk; times are Unix seconds."""

from collections.abc import Iterable
from typing import Final

import structlog

from actors.core.tokens.issued import Declined, No
from actors.core.tokens.revocations import MAX_REVOCATIONS, Revocation, Revocations, Target, merged
from actors.vault_file import VaultFile

VERDICT_SECONDS: Final = 86_400.0
"""No ingress remembers a verdict for longer: it is the longest time that settings can say."""

log = structlog.get_logger()


class RevocationDesk:
    """What is revoked now."""

    def __init__(self, file: VaultFile, generation: str) -> None:
        """`generation` is another one for each life of the Vault."""
        self._file = file
        self._generation = generation
        self._entries = file.revocations()
        self._changes = 0
        self.revocations: Revocations = self._published()

    def add(self, each: Revocation) -> Declined | None:
        """Revoke; says why not, or nothing.

        To drop one that is in force to make room would let in again who was shut out, so none is dropped.
        """
        if each.id not in self._entries and len(self._entries) >= MAX_REVOCATIONS:
            log.error("revocations_full", most=MAX_REVOCATIONS)
            return Declined(No.FULL, f"there are {MAX_REVOCATIONS} revocations: revoke a subject, client or issuer")
        kept = merged(self._entries.get(each.id), each)
        self._file.put_revocation(kept)
        self._entries[each.id] = kept
        self._publish()
        return None

    def add_key(self, key_ids: Iterable[str], now: float) -> None:
        """Have API keys forgotten by whoever remembers them; the Vault itself knows them no longer."""
        for key_id in key_ids:
            self.add(Revocation(Target.TOKEN, key_id, until=now + VERDICT_SECONDS))

    def drop(self, name: str) -> Declined | None:
        """Take a revocation back, by its id; says why not, or nothing."""
        found = self._entries.get(name)
        if found is None:
            return Declined(No.UNKNOWN, "there is no such revocation")
        self._file.drop_revocation(found)
        del self._entries[name]
        self._publish()
        return None

    def sweep(self, now: float) -> None:
        """Let go of those whose time is over."""
        over = [each for each in self._entries.values() if each.until <= now]
        if over:
            with self._file.transaction():
                for each in over:
                    self._file.drop_revocation(each)
            for each in over:
                del self._entries[each.id]
            self._publish()

    def _publish(self) -> None:
        self._changes += 1
        self.revocations = self._published()

    def _published(self) -> Revocations:
        return Revocations(f"{self._generation}:{self._changes}", tuple(self._entries.values()))
