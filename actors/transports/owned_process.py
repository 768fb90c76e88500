"""A server process that cannot outlive us: started through a guardian, stopped through it, and reaped.

It needs no child watcher of an event loop, so it works with every loop in every thread: the control socket tells when
all is over, because each process that holds its other end belongs to the guardian.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any, Final

from actors.transports import guardian
from actors.transports.launch import Launch

START_SECONDS: Final = 10.0
"""For the guardian and the server's exec, which take some 30 ms."""
SETTLE_SECONDS: Final = 1.0
"""From the first sign of an end to the last byte of output; then the rest is not waited for."""
GONE_SECONDS: Final = guardian.KILL_SECONDS + 1.0
"""From the KILL of a server to the end of its guardian."""
REAP_SECONDS: Final = 0.005
REAP_ATTEMPTS: Final = 400

_GUARDIAN_ENVIRONMENT: Final = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
"""A server can read the environment of its parent in `/proc`: there must be nothing to find."""

CONTROL, STDOUT, STDERR = "control socket", "standard output", "standard error"


class OwnedProcess:
    """One server, started once. `on_ended` is called once, after the last output, unless `stop` came first."""

    def __init__(
        self,
        name: str,
        *,
        on_stdout: Callable[[bytes], None],
        on_stderr: Callable[[bytes], None],
        on_ended: Callable[[str], None],
        term_seconds: float,
    ) -> None:
        self._name = name
        self._on_stdout = on_stdout
        self._on_stderr = on_stderr
        self._on_ended: Callable[[str], None] | None = on_ended
        self._term_seconds = term_seconds
        self._popen: subprocess.Popen[bytes] | None = None
        self._control: asyncio.Transport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._open: dict[str, asyncio.BaseTransport] = {}
        self._settling: asyncio.TimerHandle | None = None
        self._report = b""
        self._exit_code: int | None = None
        self.pid: int | None = None
        """Of the server, once it runs; it leads a process group of its own."""

    async def start(self, launch: Launch) -> None:
        """Start the guardian and the server.

        Raises:
            OSError: the server could not be started; the message says why.
        """
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        ours, theirs = socket.socketpair()
        self._unadopted: list[Any] = [ours]
        try:
            with theirs:
                popen = self._popen = self._spawn(theirs.fileno(), launch.cwd)
            self._unadopted += [pipe for pipe in (popen.stdout, popen.stderr, popen.stdin) if pipe]
            await self._adopt(launch)
            async with asyncio.timeout(START_SECONDS):
                await self._started
        except TimeoutError:
            self._abandon()
            raise OSError(f"the process did not start within {START_SECONDS:g} s") from None
        except BaseException:
            self._abandon()
            raise

    @property
    def unsent_bytes(self) -> int:
        """What was written and the server's input has not taken yet."""
        return self._stdin.get_write_buffer_size() if self._stdin else 0

    def write(self, data: bytes) -> None:
        """Write to the server's input; nothing happens if that is closed."""
        if self._stdin and not self._stdin.is_closing():
            self._stdin.write(data)

    async def stop(self, eof_seconds: float) -> None:
        """Close the server's input, and after `eof_seconds` make it and all its descendants end. Bounded."""
        self._on_ended = None
        if self._popen is None:
            return
        self._refuse("it was closed while it started")
        if self._stdin:
            self._stdin.close()
        if not await self._wait_gone(eof_seconds):
            self._hang_up()
            if not await self._wait_gone(self._term_seconds + GONE_SECONDS):
                self._kill()
                await self._wait_gone(GONE_SECONDS)
        self._release()

    def _spawn(self, control: int, cwd: str | None) -> subprocess.Popen[bytes]:
        # Not in a thread: it takes 0.3 ms, and a cancelled thread would go on and start a server for nobody.
        program = [sys.executable, "-I", "-S", guardian.__file__]
        return subprocess.Popen(
            [*program, str(control), str(os.getpid()), str(self._term_seconds), self._name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=cwd,
            env=_GUARDIAN_ENVIRONMENT,
            pass_fds=(control,),
            start_new_session=True,
        )

    async def _adopt(self, launch: Launch) -> None:
        loop, parts = self._loop, self._unadopted
        report = _Stream(self._on_report, partial(self._on_closed, CONTROL))
        self._control, _ = await loop.create_unix_connection(lambda: report, sock=parts.pop(0))
        self._open[CONTROL] = self._control
        self._control.write(launch.order.encode())
        out = _Stream(self._on_stdout, partial(self._on_closed, STDOUT))
        self._open[STDOUT], _ = await loop.connect_read_pipe(lambda: out, parts.pop(0))
        err = _Stream(self._on_stderr, partial(self._on_closed, STDERR))
        self._open[STDERR], _ = await loop.connect_read_pipe(lambda: err, parts.pop(0))
        stdin = _Stream(lambda _: None, partial(self._settle, "closed its standard input"))
        self._stdin, _ = await loop.connect_write_pipe(lambda: stdin, parts.pop(0))

    def _on_report(self, data: bytes) -> None:
        *lines, self._report = (self._report + data).split(b"\n")
        for line in lines:
            match line.split():
                case [b"pid", pid]:
                    self.pid = int(pid)
                    if not self._started.done():
                        self._started.set_result(None)
                case [b"error", number, *part]:
                    at = f"its sandbox cannot be had, {part[0].decode()}" if part else "the command cannot be run"
                    self._refuse(f"{at}: {os.strerror(int(number))}")
                case [b"exit", code]:
                    self._exit_code = int(code)
                    self._settle("ended")

    def _on_closed(self, part: str) -> None:
        self._open.pop(part, None)
        if part == CONTROL:
            self._refuse("the process ended before it had started")
            if self._exit_code is None:
                self._kill()  # both guardians were killed at once, so nobody else does
            self._reap(REAP_ATTEMPTS)
        self._settle(f"closed its {part}")
        if not self._open:
            self._finish("ended")

    def _refuse(self, reason: str) -> None:
        if not self._started.done():
            self._started.set_exception(OSError(reason))

    def _settle(self, sign: str) -> None:
        if self._settling is None and self._on_ended:
            self._settling = self._loop.call_later(SETTLE_SECONDS, self._finish, sign)

    def _finish(self, sign: str) -> None:
        """Tell that the server ended, by its exit code if that is known, and make it so."""
        self._hang_up()
        if self._settling:
            self._settling.cancel()
        on_ended, self._on_ended = self._on_ended, None
        if on_ended is None:
            return
        self._abort_stdin()
        if self._exit_code is not None:
            sign = _exit_text(self._exit_code)
        elif CONTROL not in self._open:
            sign = "was killed together with its guardian"
        on_ended(sign)

    def _hang_up(self) -> None:
        if self._control and not self._control.is_closing():
            self._control.write_eof()

    def _kill(self) -> None:
        if self.pid and self._exit_code is None:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)

    def _reap(self, attempts: int) -> None:
        # A process closes its descriptors a moment before it can be waited for.
        if self._popen and self._popen.poll() is None and attempts:
            self._loop.call_later(REAP_SECONDS, self._reap, attempts - 1)
        elif not self._gone.done():
            self._gone.set_result(None)

    async def _wait_gone(self, seconds: float) -> bool:
        done, _ = await asyncio.wait([self._gone], timeout=seconds)
        return bool(done)

    def _abandon(self) -> None:
        """End a start that failed or was cancelled; the guardian does the rest when the control socket closes."""
        self._on_ended = None
        self._started.cancel()
        for part in self._unadopted:
            part.close()
        if self._control is None:
            self._reap(REAP_ATTEMPTS)
        self._hang_up()
        self._release({STDOUT, STDERR})

    def _release(self, parts: Collection[str] = (CONTROL, STDOUT, STDERR)) -> None:
        self._abort_stdin()
        for part in parts:
            if part in self._open:
                self._open[part].close()

    def _abort_stdin(self) -> None:
        stdin, self._stdin = self._stdin, None
        # asyncio calls `connection_lost` twice if a pipe that has nothing left to write is aborted after its close.
        if stdin and (stdin.get_write_buffer_size() or not stdin.is_closing()):
            stdin.abort()


class _Stream(asyncio.Protocol):
    def __init__(self, on_data: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        self._on_data = on_data
        self._on_lost = on_lost

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost()


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
