"""Standard input and output without blocking the loop: a thread reads the one, a thread writes the other.

asyncio would make the descriptors non-blocking, also for every other process that shares them, and takes no files.
"""

import asyncio
import os
import queue
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

CHUNK_BYTES: Final = 65_536
READ_AHEAD: Final = 4
"""Chunks that wait for us; then the client waits."""
MAX_UNWRITTEN: Final = 1024 * 1024
"""Bytes that wait for the reader of our output; then whoever wants to write waits, and the gateway with it."""


class Input:
    """The chunks of one descriptor, in order."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._room = threading.Semaphore(READ_AHEAD)
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()

    def start(self) -> None:
        """Begin to read, within the running loop. The thread ends with the input or with the process."""
        arrived = asyncio.get_running_loop().call_soon_threadsafe
        threading.Thread(target=self._read, args=(arrived,), name="stdin", daemon=True).start()

    async def chunk(self) -> bytes:
        """The next bytes; none at the end."""
        data = await self._chunks.get()
        self._room.release()
        return data

    def _read(self, arrived: Callable[..., object]) -> None:
        data = b"first"
        while data:
            self._room.acquire()
            try:
                data = _read_some(self._fd)
            except OSError:
                data = b""  # a terminal that was closed, for one: there is no more
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                arrived(self._chunks.put_nowait, data)


class Output:
    """Writes to one descriptor, whole lines in the order in which they came."""

    def __init__(self, fd: int, *, max_unwritten: int = MAX_UNWRITTEN) -> None:
        self._fd = fd
        self._max_unwritten = max_unwritten
        self._waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._unwritten = 0
        self._turn = asyncio.Lock()
        self._written = asyncio.Event()
        self.lost = asyncio.Event()
        """Set when nobody reads any more; what is written then goes nowhere."""

    def start(self) -> None:
        """Begin to write, within the running loop. The thread ends when nobody reads, or with the process."""
        tell = asyncio.get_running_loop().call_soon_threadsafe
        threading.Thread(target=self._write, args=(tell,), name=f"output {self._fd}", daemon=True).start()

    async def write(self, message: bytes) -> None:
        """Write one JSON message as one line, when there is room; cancelled before that, it is not written at all."""
        async with self._turn:
            await self._until(lambda: self._unwritten < self._max_unwritten)
            self._put(_one_line(message))

    def offer(self, data: bytes) -> None:
        """Write bytes as they are if there is room, and drop them if not."""
        if self._unwritten < self._max_unwritten:
            self._put(data)

    async def flush(self) -> None:
        """Wait until everything is written, or nobody reads."""
        await self._until(lambda: not self._unwritten)

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done() and not self.lost.is_set():
            self._written.clear()
            await self._written.wait()

    def _put(self, data: bytes) -> None:
        if not self.lost.is_set():
            self._unwritten += len(data)
            self._waiting.put(data)

    def _write(self, tell: Callable[..., object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            while True:
                data = self._waiting.get()
                while not self._waiting.empty() and len(data) < CHUNK_BYTES:
                    data += self._waiting.get()
                try:
                    _write_all(self._fd, data)
                except OSError:
                    tell(self._lose)
                    return
                tell(self._wrote, len(data))

    def _wrote(self, size: int) -> None:
        self._unwritten -= size
        self._written.set()

    def _lose(self) -> None:
        self.lost.set()
        self._written.set()


def _one_line(message: bytes) -> bytes:
    """In JSON a line break stands between tokens only, where a space says the same."""
    if b"\n" in message or b"\r" in message:
        message = message.replace(b"\n", b" ").replace(b"\r", b" ")
    return message + b"\n"


def _read_some(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, CHUNK_BYTES)
        except BlockingIOError:  # somebody who shares it made it so
            select.select([fd], [], [])


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            select.select([], [fd], [])
