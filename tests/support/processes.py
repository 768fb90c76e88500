"""Processes of a test: start a server and wait until it listens, look for what it left, wait for a condition.

Every wait has a limit. Whatever a context manager here starts is gone when it exits, with all its descendants.
"""

import asyncio
import inspect
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).parents[2]
"""The working directory in which `python -m tests.support.…` finds its module."""

LOCALHOST: Final = "127.0.0.1"


@dataclass(frozen=True)
class Listening:
    """A server of ours that accepts connections."""

    pid: int
    port: int

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://{LOCALHOST}:{self.port}"

    @property
    def url(self) -> str:
        """Its MCP endpoint."""
        return f"{self.origin}/mcp"


def command(module: str, *args: str) -> list[str]:
    """The command line that runs a module of this repository; its working directory has to be `ROOT`."""
    return [sys.executable, "-m", module, *args]


@contextmanager
def listening(module: str, *args: str, seconds: float = 30.0) -> Iterator[Listening]:
    """Run a module that prints `listening PORT`, until the block ends.

    Raises:
        TimeoutError: it did not say so in `seconds`.
        RuntimeError: it ended before it said so.
    """
    process = subprocess.Popen(command(module, *args), cwd=ROOT, stdout=subprocess.PIPE, bufsize=0)
    try:
        yield Listening(process.pid, _announced_port(process, seconds))
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], *, seconds: float = 5.0) -> None:
    """End a process and its descendants: asked first, then killed after `seconds`."""
    left = descendants(process.pid)
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(seconds)
    for pid in left:
        if is_there(pid):
            os.kill(pid, 9)
    if process.stdout is not None:
        process.stdout.close()


def _announced_port(process: subprocess.Popen[bytes], seconds: float) -> int:
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"{process.args!r} did not listen within {seconds:g} s")
            byte = process.stdout.read(1)
            if not byte:
                raise RuntimeError(f"{process.args!r} ended with {process.wait(seconds)} before it listened")
            line += byte
    word, port = line.split()
    assert word == b"listening", line
    return int(port)


def free_port() -> int:
    """A port nobody listens on at this moment; another process may take it before you do."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port


def descendants(pid: int) -> list[int]:
    """Children of a process, their children, and so on; none if it is gone.

    One whose parent has died belongs to somebody else by then: ask while the parents live.
    """
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def is_there(pid: int) -> bool:
    """Whether a process runs; one that only waits for its parent to collect it does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def wait_gone(pids: Iterable[int], seconds: float) -> list[int]:
    """Wait until none of the processes runs; returns those that still do after `seconds`."""
    left = list(pids)
    deadline = time.monotonic() + seconds
    while left := [pid for pid in left if is_there(pid)]:
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(0.02)
    return left


async def eventually(predicate: Callable[[], object | Awaitable[object]], seconds: float = 5.0) -> None:
    """Wait until the predicate, plain or async, is true.

    Raises:
        AssertionError: it was not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = predicate()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {inspect.getsource(predicate).strip()}"
        await asyncio.sleep(0.02)
