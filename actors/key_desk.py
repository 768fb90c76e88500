"""The Vault's desk for API keys that are made while the gateway runs. Its methods wait for the disk."""

import base64
from collections.abc import Callable
from typing import Final

import msgspec

from actors.core.api_key import PREFIX, hash_of
from actors.core.tokens.grant import service_fault, words_fault
from actors.core.tokens.issued import Declined, No, Shown
from actors.core.tokens.key_record import SHOWN_CHARS, KeyRecord, key_id
from actors.revocation_desk import RevocationDesk
from actors.vault_file import VaultFile

MAX_KEYS: Final = 1000
"""Whoever verifies knows all of them, and compares each one."""

KEY_BYTES: Final = 32

MAX_LIFE: Final = 10 * 366 * 86_400.0
"""Seconds; whoever wants longer sets no end."""

MAX_OVERLAP: Final = 30 * 86_400.0
"""Seconds for which the key before may still be good after a rotation."""


class KeyDesk:
    """The keys. Times are Unix seconds."""

    def __init__(
        self,
        file: VaultFile,
        revocations: RevocationDesk,
        configured: frozenset[str],
        random: Callable[[int], bytes],
    ) -> None:
        """`configured` are the names of the keys in the configuration, which nobody else may have."""
        self._file = file
        self._revocations = revocations
        self._configured = configured
        self._random = random
        self._keys = file.keys()

    @property
    def records(self) -> tuple[KeyRecord, ...]:
        """Those that are good, or were until they expired; one that the configuration has by now is not."""
        return tuple(record for name, record in sorted(self._keys.items()) if name not in self._configured)

    def create(
        self, name: str, scopes: tuple[str, ...], groups: tuple[str, ...], seconds: float | None, now: float
    ) -> Shown | Declined:
        """A new key, good for so many seconds, or until it is deleted."""
        fault = service_fault(name).replace("subject", "name") or words_fault(scopes, groups)
        if seconds is not None and not 0 < seconds <= MAX_LIFE:
            fault = f"a lifetime is more than 0 and at most {MAX_LIFE:.0f} seconds"
        if fault:
            return Declined(No.WRONG, fault)
        if name in self._keys or name in self._configured:
            return Declined(No.TAKEN, f"there is a key {name!r} already")
        if len(self._keys) >= MAX_KEYS:
            return Declined(No.FULL, f"there are {MAX_KEYS} keys already")
        secret = self._secret()
        ends_at = None if seconds is None else now + seconds
        record = KeyRecord(name, hash_of(secret), secret[:SHOWN_CHARS], now, scopes, groups, ends_at)
        self._put(record)
        return Shown(secret, record)

    def rotate(self, name: str, overlap: float, now: float) -> Shown | Declined:
        """A new key in place of one, which is good for `overlap` more seconds; the one before that is over at once."""
        old = self._keys.get(name)
        if old is None or name in self._configured:
            return self._unknown(name)
        if not 0 <= overlap <= MAX_OVERLAP:
            return Declined(No.WRONG, f"the key before is good for 0 to {MAX_OVERLAP:.0f} more seconds")
        secret = self._secret()
        over = [old.former_hash] if old.former_hash else []
        if not overlap:
            over.append(old.hash)
        record = msgspec.structs.replace(
            old,
            hash=hash_of(secret),
            shown=secret[:SHOWN_CHARS],
            made_at=now,
            former_hash=old.hash if overlap else "",
            former_until=now + overlap if overlap else 0.0,
        )
        self._put(record)
        self._revocations.add_key(map(key_id, over), now)
        return Shown(secret, record)

    def delete(self, name: str, now: float) -> Declined | None:
        """A key is worth nothing from now on; says why not, or nothing."""
        old = self._keys.get(name)
        if old is None or name in self._configured:
            return self._unknown(name)
        self._revocations.add_key([key_id(hashed) for hashed in (old.hash, old.former_hash) if hashed], now)
        self._file.drop_key(name)
        del self._keys[name]
        return None

    def _put(self, record: KeyRecord) -> None:
        self._file.put_key(record)
        self._keys[record.name] = record

    def _unknown(self, name: str) -> Declined:
        if name in self._configured:
            return Declined(No.TAKEN, f"the key {name!r} is in the configuration file: change it there")
        return Declined(No.UNKNOWN, f"there is no key {name!r}")

    def _secret(self) -> str:
        return PREFIX + base64.urlsafe_b64encode(self._random(KEY_BYTES)).decode().rstrip("=")
