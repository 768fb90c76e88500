"""What a server prints for people: made safe to show, and kept from flooding the log."""

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from actors.core.lines import Line, LineSplitter, Overlong

log = structlog.get_logger()

MAX_LINE_BYTES: Final = 4096
TAIL_LINES: Final = 20
LINES_PER_SECOND: Final = 50
"""Of one server, in the log; beyond it lines are counted only."""
MIN_SECRET_CHARACTERS: Final = 8
"""Shorter values of the environment are words like `debug`, and would be found everywhere."""

_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Redactor:
    """Turns bytes of a server into text without control characters and without the values of its environment."""

    def __init__(self, secrets: Iterable[str]) -> None:
        longest_first = sorted({s for s in secrets if len(s) >= MIN_SECRET_CHARACTERS}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, data: bytes) -> str:
        """Make one line of text; control characters become spaces, known secrets `***`."""
        text = _ANSI.sub("", data.decode(errors="replace"))
        if not text.isprintable():
            text = "".join(c if c.isprintable() else " " for c in text)
        if self._secrets is not None:
            text = self._secrets.sub("***", text)
        return text.strip()


class ServerText:
    """The standard error of one server, line by line into the log."""

    def __init__(self, name: str, redactor: Redactor, clock: Callable[[], float]) -> None:
        self._name = name
        self._redactor = redactor
        self._clock = clock
        self._splitter = LineSplitter(MAX_LINE_BYTES)
        self._second = clock()
        self._logged = 0
        self._suppressed = 0
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        """The last lines, whether logged or not."""

    @property
    def last(self) -> str:
        """The last line, or nothing."""
        return self.tail[-1] if self.tail else ""

    def feed(self, data: bytes) -> None:
        """Take the next chunk."""
        self._take(self._splitter.feed(data))

    def finish(self) -> None:
        """The stream ended."""
        self._take(self._splitter.finish())
        self._report_suppressed()

    def _take(self, lines: Iterable[Line]) -> None:
        for line in lines:
            text = self._redactor.text(line.head + b" ..." if isinstance(line, Overlong) else line)
            if text:
                self.tail.append(text)
                self._log(text)

    def _log(self, text: str) -> None:
        now = self._clock()
        if now - self._second >= 1.0:
            self._report_suppressed()
            self._second, self._logged = now, 0
        if self._logged < LINES_PER_SECOND:
            self._logged += 1
            log.info("server_stderr", backend=self._name, line=text)
        else:
            self._suppressed += 1

    def _report_suppressed(self) -> None:
        if self._suppressed:
            log.warning("server_stderr_suppressed", backend=self._name, lines=self._suppressed)
            self._suppressed = 0
