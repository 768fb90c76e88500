"""Where a gateway keeps what outlives it, and what the command needs of it before there is a Router."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import platformdirs
import structlog

from actors.core.roster import Added
from actors.core.saved import SavedServer
from actors.core.settings import ServerSettings
from actors.store import open_store
from actors.store_file import StoreError
from actors.vault_file import vault_path
from serve_app.config import EntryError, read_entry

APPLICATION: Final = "only1mcp"

KEEP_SECONDS: Final = 30 * 86_400.0
"""How long a file of the user's folder is kept that no gateway used: a port that is never used again leaves one."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the command takes from the run before."""

    file: Path | None
    """Where the Router finds the rest; nothing, if nothing is kept."""
    secret: bytes
    """The gateway's: ids of sessions made with it hold for as long as it is kept."""
    servers: tuple[SavedServer, ...] = ()
    """Added while the gateway ran, and not removed since."""

    @property
    def vault(self) -> Path | None:
        """Where the Vault finds what is its own; nothing, if nothing is kept."""
        return None if self.file is None else vault_path(self.file)


def state_file(server: ServerSettings, *, spread: bool) -> Path | None:
    """The configured file, else one in the user's folder for state, for each port another.

    None where the Router may be on another machine, and nobody named a file: `spread` says that.
    """
    if server.state_file is not None:
        return Path(server.state_file).expanduser().absolute()
    return None if spread else Path(platformdirs.user_state_dir(APPLICATION)) / f"state-{server.port}.sqlite"


def forget_old(folder: Path, now: float) -> None:
    """Remove the files that nobody used for long; `now` is in seconds since 1970."""
    for file in folder.glob("state-*.sqlite"):
        files = (file, vault_path(file))
        parts = [each.with_name(each.name + suffix) for each in files for suffix in ("", "-wal", "-shm")]
        with suppress(OSError):
            if all(now - part.stat().st_mtime > KEEP_SECONDS for part in parts if part.exists()):
                for part in parts:
                    part.unlink(missing_ok=True)


def recall(file: Path | None) -> Recalled:
    """Open the file, or begin one; if it cannot be used a line says so, and nothing is kept. Waits for the disk."""
    store = open_store(file)
    if store is None:
        return Recalled(None, new_secret())
    try:
        return Recalled(file, store.secret(new_secret), store.load().servers)
    except StoreError as error:
        log.warning("state_not_kept", file=str(file), reason=str(error))
        return Recalled(None, new_secret())
    finally:
        store.close()


def new_secret() -> bytes:
    """The secret of a gateway, with which it seals what only it shall read, and signs ids of sessions."""
    return secrets.token_bytes(32)


def added_again(servers: Iterable[SavedServer], folder: Path, environ: Mapping[str, str]) -> Iterator[Added]:
    """The servers as they are to be added now; a line says which can be read no longer. See `config.read_entry`."""
    for each in servers:
        try:
            entry = msgspec.json.decode(each.source, type=dict[str, object])
            yield Added(read_entry(each.name, entry, folder, environ), each.source)
        except (EntryError, msgspec.DecodeError) as error:
            log.warning("added_server_unreadable", server=each.name, reason=str(error))
