"""TLS at the door: HAProxy speaks it, with files that are looked at again while the gateway runs.

The keeper of HAProxy puts them where HAProxy wants them whenever one starts (`haproxy_keeper.py`); in between, new ones
are handed to the HAProxy that runs, which closes no connection for it.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import structlog

from actors.core.tls_settings import TlsSettings
from serve_app.haproxy_keeper import CA_FILE, PEM_FILE, TLS_FILE

LOOK_SECONDS: Final = 5.0
"""Between two looks at the files."""

ANSWER_SECONDS: Final = 10.0
"""How long HAProxy may take to say what it makes of a new file."""

MAX_FILE_BYTES: Final = 256 * 1024
MAX_ANSWER_BYTES: Final = 64 * 1024

ADMIN_SOCKETS: Final = "*/admin.sock"
"""Serve adds a folder with the id of the node; there is one, as TLS is for a Ray of the gateway's own."""

log = structlog.get_logger()


def write_tls(folder: Path, tls: TlsSettings) -> None:
    """Leave word for the keeper of HAProxy, in the folder that Serve was told to use."""
    (folder / TLS_FILE).write_text(json.dumps(asdict(tls)))


def faults(tls: TlsSettings) -> Iterator[tuple[str, str]]:
    """What is wrong with the files: for each fault the setting, and a sentence that shows nothing of a file."""
    unread = False
    for name in ("certificate", "key", "client_ca"):
        path = getattr(tls, name)
        reason = None if path is None else _unreadable(Path(path))
        if reason is not None:
            unread = True
            yield name, reason
    if unread:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")  # else it would ask at the terminal
    except (ssl.SSLError, ValueError):
        yield "certificate", "must hold a PEM certificate, and `key` its PEM private key, without a password"
    if tls.client_ca is None:
        return
    try:
        context.load_verify_locations(tls.client_ca)
    except (ssl.SSLError, ValueError):
        yield "client_ca", "must hold PEM certificates"


class DoorTls:
    """Hands new files to HAProxy. `folder` is the one that `write_tls` wrote into."""

    def __init__(
        self,
        tls: TlsSettings,
        folder: Path,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._tls = tls
        self._folder = folder
        self._sleep = sleep
        self._held = self._read()

    async def follow(self) -> None:
        """Look at the files again and again, for as long as the gateway runs. Files that do not fit are not used."""
        while True:
            await self._sleep(LOOK_SECONDS)
            found = await asyncio.to_thread(self._read)
            if found is None or found == self._held:
                continue
            self._held = found  # also if HAProxy does not take it: it would not the next time either
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    refusal = await self._hand_over(found)
            except OSError as error:  # TimeoutError is one
                refusal = type(error).__name__
            if refusal:
                log.error("tls_files_refused", reason=refusal)
            else:
                log.info("tls_files_changed", certificate=self._tls.certificate)

    def _read(self) -> dict[str, str] | None:
        """What HAProxy needs to have, by the names of its files; nothing as long as the files do not fit."""
        if any(faults(self._tls)):
            return None
        try:
            pem = Path(self._tls.certificate).read_text() + "\n" + Path(self._tls.key).read_text()
            found = {PEM_FILE: pem}
            if self._tls.client_ca is not None:
                found[CA_FILE] = Path(self._tls.client_ca).read_text()
        except (OSError, UnicodeDecodeError):
            return None
        return found

    async def _hand_over(self, files: dict[str, str]) -> str:
        """Why HAProxy does not take the files; empty if it does."""
        for name, kind in ((CA_FILE, "ca-file"), (PEM_FILE, "cert")):
            if name not in files:
                continue
            text = "\n".join(line for line in files[name].splitlines() if line.strip())  # an empty line ends it
            for command in (
                f"set ssl {kind} {self._folder / name} <<\n{text}\n",
                f"commit ssl {kind} {self._folder / name}",
            ):
                answer = await self._ask(command)
                if "ransaction" not in answer and "uccess" not in answer:
                    return answer.strip().partition("\n")[0]
        return ""

    async def _ask(self, command: str) -> str:
        path = next(self._folder.glob(ADMIN_SOCKETS), None)
        if path is None:
            raise FileNotFoundError
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            writer.write(f"{command}\n".encode())
            await writer.drain()
            return (await reader.read(MAX_ANSWER_BYTES)).decode(errors="replace")
        finally:
            writer.close()


def _unreadable(path: Path) -> str | None:
    try:
        if not path.is_file():
            return "is not a file"
        if path.stat().st_size > MAX_FILE_BYTES:
            return f"is larger than {MAX_FILE_BYTES} bytes"
        path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None
