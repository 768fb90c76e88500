"""Log lines on standard error: one event is one line, for people or for machines, without secrets.

Much of what is logged was written by others, a server's standard error first of all. So no value can end a line, move
a cursor or grow a line without bound, and values under telling keys, or of a telling shape, are redacted.
"""

import contextlib
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import structlog

MAX_VALUE: Final = 4096
"""Characters of one value; of a longer one the two ends are kept, because a traceback tells most at its end."""

MAX_LINE: Final = 16_384
"""Characters of one line."""

MAX_DEPTH: Final = 8
"""Levels of nesting shown of a value."""

REDACTED: Final = "[redacted]"

_SECRET_KEY: Final = re.compile(r"authorization|token|secret|passw|api_?key|private_?key|cookie|credential")
_SECRET_KEYS: Final = frozenset({"env", "environ", "environment", "headers"})
"""Whole mappings of which any value may be a secret."""
_SECRET_TEXT: Final = re.compile(
    r"(?i)\b(bearer|basic)\s+(?=[\w.~+/-]*[\d=])[\w.~+/=-]+|\bo1m_[\w-]+|(?<=://)[^\s/@:]*:[^\s/@]*(?=@)"
)
"""Credentials in the midst of a text: an `Authorization` value, a key of ours, the user part of a URL."""

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_PLAIN: Final = "\x1b[0m"
_LARGEST: Final = 1 << 64
"""Numbers from here on are not shown: Python refuses to write very long ones, and JSON has no infinity."""
_BARE: Final = re.compile(r"[^\s\"'=\\]+").fullmatch

Event = MutableMapping[str, Any]


def configure(
    log_format: str = "text",
    level: str = "info",
    *,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Make every logger of this process, structlog's and the standard library's, write lines to standard error.

    `log_format` is `text` (`HH:MM:SS level event key=value`, local time) or `json` (an object a line, `ts` in UTC).
    Libraries are heard from `warning` on, or from `debug` on if that is the level. May be called again.

    Raises:
        ValueError: the format or the level is unknown.
    """
    if log_format not in {"text", "json"}:
        raise ValueError(f"unknown log format {log_format!r}: text or json")
    if level not in _LEVELS:
        raise ValueError(f"unknown log level {level!r}: one of {', '.join(_LEVELS)}")
    out = sys.stderr if stream is None else stream
    lines = _Lines(out)
    colour = out.isatty() and "NO_COLOR" not in os.environ

    def line(_logger: object, name: str, event: Event) -> str:
        if log_format == "json":
            return _json_line(name, event, clock())
        return _text_line(name, event, clock(), colour=colour)

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, line],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_StandardLibrary(lines, line)]
    root.setLevel(logging.DEBUG if level == "debug" else max(logging.WARNING, _LEVELS[level]))


class _Lines:
    """Writes lines, each in one piece. One that cannot be written is lost: logging must not fail what it speaks of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):  # a ValueError if it was closed
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = write


class _StandardLibrary(logging.Handler):
    """Writes the records of libraries as lines of ours."""

    def __init__(self, lines: _Lines, line: Callable[[object, str, Event], str]) -> None:
        super().__init__()
        self._lines = lines
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        event: Event = {"event": "library_message", "logger": record.name, "message": _message(record)}
        if record.exc_info:
            event["exception"] = logging.Formatter().formatException(record.exc_info)
        self._lines.write(self._line(None, record.levelname.lower(), event))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - whatever a library's arguments raise when they are formatted
        return f"{record.msg} ({type(error).__name__} when its arguments were put in)"


def _text_line(level: str, event: Event, now: float, *, colour: bool) -> str:
    head = time.strftime("%H:%M:%S", time.localtime(now))
    shown = f"{_COLOURS[level]}{level}{_PLAIN}" if colour and level in _COLOURS else level
    parts = [head, shown, _escaped(_text_of(_clean(event.pop("event", ""))))]
    for key, value in event.items():
        text = _text_of(_redacted(key, value))
        quoted = text if _BARE(text) else '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'
        parts.append(f"{_escaped(key)}={_escaped(quoted)}")
    line = " ".join(parts)
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"


def _json_line(level: str, event: Event, now: float) -> str:
    ts = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"ts": ts, "level": level, "event": _clean(event.pop("event", ""))}
    line = json.dumps({**head, **{key: _redacted(key, value) for key, value in event.items() if key not in head}})
    if len(line) > MAX_LINE:
        line = json.dumps({**head, "event": _shortened(_text_of(head["event"]), 256), "truncated": True})
    return line


def _redacted(key: str, value: Any, depth: int = 0) -> Any:
    name = key.lower().replace("-", "_")
    return REDACTED if name in _SECRET_KEYS or _SECRET_KEY.search(name) else _clean(value, depth)


def _clean(value: Any, depth: int = 0) -> Any:
    """A value without secrets, of JSON's types only, and of bounded size unless it has very many members."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < _LARGEST else "out of range"  # NaN is not less than anything
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _redacted(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner, depth + 1) for inner in value]
    text = value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)
    return _shortened(_SECRET_TEXT.sub(REDACTED, text))


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else _shortened(json.dumps(value, ensure_ascii=False))


def _shortened(text: str, limit: int = MAX_VALUE) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}…[{len(text) - 2 * half} more]…{text[-half:]}"


def _escaped(text: str) -> str:
    """Every character which is not a visible one or a space, as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
