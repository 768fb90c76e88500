"""The SQLite file of the Vault (mode 0600): what the gateway issued, and what of that is worth nothing any more.

Every method waits for the disk, so it belongs into a thread; what it changes is on the disk when it returns. One at a
time, but for those within one `transaction`. Times are Unix seconds.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from actors.core.tokens.family import Family
from actors.core.tokens.issued import TokenEntry
from actors.core.tokens.key_record import KeyRecord
from actors.core.tokens.key_ring import KeyRing, RingKey
from actors.core.tokens.revocations import Revocation, Target
from actors.sqlite_file import BrokenFile, ForeignFile, Form, connect, transaction

SCHEMA: Final = 1
"""The version of the tables; a file of a later one is left alone."""

APPLICATION_ID: Final = 0x6F316D76
"""`o1mv`: by it a file is known to be a vault of ours."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS signing_keys (kid TEXT PRIMARY KEY, made_at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS families (
    id TEXT PRIMARY KEY, subject TEXT NOT NULL, begun_at REAL NOT NULL, ends_at REAL NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS families_of_subject ON families (subject, begun_at);
CREATE TABLE IF NOT EXISTS refresh_tokens (digest BLOB PRIMARY KEY, family TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refresh_tokens_of_family ON refresh_tokens (family);
CREATE TABLE IF NOT EXISTS tokens (id TEXT PRIMARY KEY, ends_at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS api_keys (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS revocations (
    target TEXT, issuer TEXT, value TEXT, before REAL NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (target, issuer, value)
);
CREATE TABLE IF NOT EXISTS credentials (
    principal TEXT, server TEXT, issuer TEXT, body TEXT NOT NULL, PRIMARY KEY (principal, server, issuer)
);
CREATE TABLE IF NOT EXISTS claims (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
"""

_FORM: Final = Form(APPLICATION_ID, SCHEMA, _TABLES, synchronous="FULL")
"""What was answered is on the disk, also if the power fails."""

S = TypeVar("S", bound=msgspec.Struct)


class VaultError(Exception):
    """The file cannot be used; the sentence says why. It is never replaced: revocations may stand in it."""


class VaultFile:
    """One file, open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """See `open_vault`."""
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is done within is on the disk afterwards, or none of it."""
        with transaction(self._connection):
            yield

    def ring(self) -> KeyRing:
        """The signing keys."""
        rows = self._rows("SELECT body FROM signing_keys ORDER BY made_at DESC, rowid DESC")
        return KeyRing(tuple(_decoded(body, RingKey) for (body,) in rows))

    def put_ring(self, ring: KeyRing) -> None:
        """Keep these signing keys, and no others."""
        with self.transaction():
            self._do("DELETE FROM signing_keys")
            for key in reversed(ring.keys):
                self._do("INSERT INTO signing_keys VALUES (?, ?, ?)", key.kid, key.made_at, _encoded(key))

    def family_of(self, digest: bytes) -> Family | None:
        """The family that a refresh token belongs to, live or used."""
        query = "SELECT body FROM families JOIN refresh_tokens ON family = id WHERE digest = ?"
        return next((_decoded(body, Family) for (body,) in self._rows(query, digest)), None)

    def family(self, name: str) -> Family | None:
        """The family of that id."""
        rows = self._rows("SELECT body FROM families WHERE id = ?", name)
        return next((_decoded(body, Family) for (body,) in rows), None)

    def families(self, now: float, most: int) -> list[Family]:
        """Those that have not ended, the latest first."""
        query = "SELECT body FROM families WHERE ends_at > ? ORDER BY begun_at DESC LIMIT ?"
        return [_decoded(body, Family) for (body,) in self._rows(query, now, most)]

    def families_beyond(self, subject: str, most: int) -> list[str]:
        """The ids of a subject's families, without the latest ones."""
        query = "SELECT id FROM families WHERE subject = ? ORDER BY begun_at DESC, rowid DESC LIMIT -1 OFFSET ?"
        return [name for (name,) in self._rows(query, subject, most)]

    def put_family(self, family: Family) -> None:
        """Keep a family as it is now, and its live token besides those that were used. Within a transaction."""
        values = (family.id, family.grant.subject, family.begun_at, family.ends_at, _encoded(family))
        self._do("INSERT OR REPLACE INTO families VALUES (?, ?, ?, ?, ?)", *values)
        self._do("INSERT OR IGNORE INTO refresh_tokens VALUES (?, ?)", family.current, family.id)

    def drop_family(self, name: str) -> None:
        """Let go of a family and of all its tokens. Within a transaction."""
        self._do("DELETE FROM families WHERE id = ?", name)
        self._do("DELETE FROM refresh_tokens WHERE family = ?", name)

    def tokens(self, now: float) -> list[TokenEntry]:
        """The tokens of services that have not expired, the latest first."""
        rows = self._rows("SELECT body FROM tokens WHERE ends_at > ? ORDER BY rowid DESC", now)
        return [_decoded(body, TokenEntry) for (body,) in rows]

    def token(self, name: str) -> TokenEntry | None:
        """The token of a service with that id."""
        rows = self._rows("SELECT body FROM tokens WHERE id = ?", name)
        return next((_decoded(body, TokenEntry) for (body,) in rows), None)

    def put_token(self, entry: TokenEntry) -> None:
        """Keep what is known of a service's token."""
        self._do("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", entry.id, entry.expires_at, _encoded(entry))

    def keys(self) -> dict[str, KeyRecord]:
        """The API keys, by name in alphabetical order."""
        rows = self._rows("SELECT name, body FROM api_keys ORDER BY name")
        return {name: _decoded(body, KeyRecord) for name, body in rows}

    def put_key(self, record: KeyRecord) -> None:
        """Keep an API key, in place of an older one of that name."""
        self._do("INSERT OR REPLACE INTO api_keys VALUES (?, ?)", record.name, _encoded(record))

    def drop_key(self, name: str) -> None:
        """Let go of an API key."""
        self._do("DELETE FROM api_keys WHERE name = ?", name)

    def revocations(self) -> dict[str, Revocation]:
        """All that are kept, by id."""
        rows = self._rows("SELECT target, value, issuer, before, until FROM revocations ORDER BY rowid")
        found = [Revocation(Target(target), *rest) for target, *rest in rows]
        return {each.id: each for each in found}

    def put_revocation(self, each: Revocation) -> None:
        """Keep a revocation, in place of another one about the same."""
        values = (each.target.value, each.issuer, each.value, each.before, each.until)
        self._do("INSERT OR REPLACE INTO revocations VALUES (?, ?, ?, ?, ?)", *values)

    def drop_revocation(self, each: Revocation) -> None:
        """Let go of a revocation."""
        values = (each.target.value, each.issuer, each.value)
        self._do("DELETE FROM revocations WHERE target = ? AND issuer = ? AND value = ?", *values)

    def sweep(self, now: float) -> None:
        """Let go of families, tokens and claims whose time is over."""
        with self.transaction():
            over = "SELECT id FROM families WHERE ends_at <= ?"
            self._do(f"DELETE FROM refresh_tokens WHERE family IN ({over})", now)  # noqa: S608 - a constant
            self._do("DELETE FROM families WHERE ends_at <= ?", now)
            self._do("DELETE FROM tokens WHERE ends_at <= ?", now)
            self._do("DELETE FROM claims WHERE until <= ?", now)

    def count(self, table: str) -> int:
        """How many rows one of our tables has."""
        return int(self._rows(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - a name of ours

    def credential(self, principal: str, server: str, issuer: str) -> str | None:
        """What is kept of a principal for an upstream server, sealed."""
        query = "SELECT body FROM credentials WHERE principal = ? AND server = ? AND issuer = ?"
        return next((str(body) for (body,) in self._rows(query, principal, server, issuer)), None)

    def put_credential(self, principal: str, server: str, issuer: str, body: str) -> None:
        """Keep it."""
        self._do("INSERT OR REPLACE INTO credentials VALUES (?, ?, ?, ?)", principal, server, issuer, body)

    def drop_credential(self, principal: str, server: str, issuer: str) -> None:
        """Let go of it."""
        statement = "DELETE FROM credentials WHERE principal = ? AND server = ? AND issuer = ?"
        self._do(statement, principal, server, issuer)

    def credential_issuers(self, principal: str, server: str) -> tuple[str, ...]:
        """Whose credentials are kept of a principal for an upstream server, in alphabetical order."""
        query = "SELECT issuer FROM credentials WHERE principal = ? AND server = ? ORDER BY issuer"
        return tuple(str(issuer) for (issuer,) in self._rows(query, principal, server))

    def claim(self, name: str, holder: str, now: float, until: float) -> bool:
        """Take a name that nobody holds; whether it was free."""
        self._do("DELETE FROM claims WHERE name = ? AND until <= ?", name, now)
        self._do("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", name, holder, until)
        return self.claimant(name) == holder

    def claimant(self, name: str) -> str | None:
        """Who holds a name, also if the time is over."""
        rows = self._rows("SELECT holder FROM claims WHERE name = ?", name)
        return next((str(holder) for (holder,) in rows), None)

    def unclaim(self, name: str) -> None:
        """Let go of a name, whoever holds it."""
        self._do("DELETE FROM claims WHERE name = ?", name)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, values).fetchall()

    def _do(self, statement: str, *values: Any) -> None:
        self._connection.execute(statement, values)


def open_vault(path: Path | None) -> VaultFile:
    """Open the file, or make it; without a path it is in memory, and gone with the process.

    Raises:
        VaultError: it is damaged, belongs to a later version or to another program, or cannot be written.
    """
    try:
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return VaultFile(connect(path, _FORM))
    except (OSError, sqlite3.Error, BrokenFile, ForeignFile) as error:
        raise VaultError(f"the vault {path} cannot be used: {error}") from error


def vault_path(state_file: Path) -> Path:
    """Where the vault lies that belongs to a state file: beside it."""
    return state_file.with_name(f"{state_file.name}.vault")


def _encoded(value: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(value)


def _decoded(body: bytes, kind: type[S]) -> S:
    return msgspec.msgpack.decode(body, type=kind)
