"""Sends the lines of the audit to a syslog, as RFC 5424 has it."""

import asyncio
import os
import queue
import re
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from actors.core.audit_settings import host_and_port

APPLICATION: Final = "only1mcp"

PRIORITY: Final = 13 * 8 + 6
"""Facility 13, the log audit, and severity 6, informational (RFC 5424, 6.2.1)."""

MAX_BYTES: Final = 8192
"""Of one message: the least that every receiver takes is 2048 (RFC 5424, 6.1), and most take this much."""

MAX_WAITING: Final = 10_000
"""Messages that wait to be sent; beyond it the newest are dropped."""

SEND_SECONDS: Final = 5.0
"""How long a receiver on this machine may be too busy to take a message."""

CLOSE_SECONDS: Final = 2.0


class Syslog:
    """Datagrams to one receiver, sent by a thread, because the name of the receiver may have to be looked up.

    Nobody knows whether they arrive.
    """

    def __init__(
        self, address: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC), host: str | None = None
    ) -> None:
        """`address` is `host:port`, or the path of a socket; `host` is the name of this machine."""
        self._address = address
        self._clock = clock
        self._host = _name(host if host is not None else socket.gethostname())
        self._waiting: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING)
        self._counting = threading.Lock()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="syslog", daemon=True)
        self._thread.start()

    def take(self, lines: Sequence[bytes]) -> None:
        """Send the lines, each as a message, as soon as those before are sent."""
        for line in lines:
            try:
                self._waiting.put_nowait(self.message(line))
            except queue.Full:
                self._drop()

    def message(self, line: bytes) -> bytes:
        """The message of one line."""
        head = f"<{PRIORITY}>1 {self._clock().isoformat()} {self._host} {APPLICATION} {os.getpid()} audit - "
        return (head.encode() + b"\xef\xbb\xbf" + line)[:MAX_BYTES]

    def dropped(self) -> int:
        """How many could not be sent since this was asked last."""
        with self._counting:
            dropped, self._dropped = self._dropped, 0
        return dropped

    async def close(self) -> None:
        """Send what waits, for as long as that is waited for, and nothing more."""
        await asyncio.to_thread(self._waiting.put, None, timeout=CLOSE_SECONDS)
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    def _run(self) -> None:
        connection: socket.socket | None = None
        while (message := self._waiting.get()) is not None:
            try:
                connection = connection or _connected(self._address)
                connection.send(message)
            except OSError:
                self._drop()
                if connection is not None:
                    connection.close()  # its receiver may have been started anew
                connection = None
        if connection is not None:
            connection.close()

    def _drop(self) -> None:
        with self._counting:
            self._dropped += 1


def _connected(address: str) -> socket.socket:
    place = host_and_port(address)
    if place is None:
        return _connect(socket.AF_UNIX, address)
    family, _, _, _, target = socket.getaddrinfo(*place, type=socket.SOCK_DGRAM)[0]
    return _connect(family, target)


def _connect(family: int, target: object) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.settimeout(SEND_SECONDS)
        made.connect(target)  # type: ignore[arg-type]  # of whichever form the family has
    except BaseException:
        made.close()
        raise
    return made


def _name(host: str) -> str:
    return re.sub(r"[^\x21-\x7e]", "", host)[:255] or "-"
