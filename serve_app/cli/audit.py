"""`only1mcp audit verify|tail|export`: looks at the log of the audit, on the machine where it lies."""

import argparse
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

import platformdirs

from actors.audit_folder import AuditError
from actors.core.audit.event import Event
from actors.core.audit.verification import Broken
from actors.core.audit_settings import AuditSettings
from serve_app.audit_place import audit_path
from serve_app.audit_reading import Sought, events, follow, proof
from serve_app.cli.audit_arguments import LAST
from serve_app.config import ConfigError, find, load
from serve_app.config.description import printable

BROKEN: Final = 1
WRONG: Final = 2


@dataclass(frozen=True, slots=True)
class AuditWish:
    """What the command line says; what it does not say is `None`."""

    file: Path | None = None
    config: Path | None = None
    sought: Sought = field(default_factory=Sought)
    number: int = LAST
    follow: bool = False
    as_json: bool = False
    with_key: bool = True
    output: Path | None = None


def run_audit(chosen: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """Do what the command line says. Returns the exit code: 0; 1 if the log is broken, or cannot be read; or 2."""
    given = vars(chosen)
    sought = Sought(*(given.get(name) for name in ("principal", "server", "kind", "since")))
    wish = AuditWish(
        file=chosen.file,
        config=chosen.config,
        sought=sought,
        number=given.get("number", LAST),
        follow=given.get("follow", False),
        as_json=given.get("json", False),
        with_key=not given.get("without_key", False),
        output=given.get("output"),
    )
    deeds: Mapping[str, Callable[[Path, AuditWish, TextIO], int]] = {"verify": verify, "tail": tail, "export": export}
    try:
        return deeds[chosen.deed](log_of(wish, environ), wish, sys.stdout)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG
    except (AuditError, OSError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        named = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        sys.stderr.write(f"only1mcp: {named}{reason}\n")
        return BROKEN
    except KeyboardInterrupt:
        return 0


def log_of(wish: AuditWish, environ: Mapping[str, str]) -> Path:
    """The log that is meant: the one that is named, that of the configuration, or where one lies by default.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    if wish.file is not None:
        return wish.file.expanduser().absolute()
    config = find(wish.config, Path.cwd(), Path(platformdirs.user_config_dir()))
    settings = None if config is None else load(config, environ).settings.audit
    return audit_path(settings or AuditSettings())


def verify(file: Path, wish: AuditWish, out: TextIO) -> int:
    """Say whether the log is as it was written. Returns the exit code, 0 or 1.

    Raises:
        AuditError, OSError: it cannot be read.
    """
    proved = proof(file, with_key=wish.with_key)
    found = proved.found
    if isinstance(found, Broken):
        out.write(f"broken: {f'{proved.place} ' if proved.place else f'{file}: '}{found.why}\n")
        return BROKEN
    out.write(f"good: lines {found.first} to {found.last} of {file}, in {_count(proved.files, 'file')}\n")
    if found.losses:
        out.write(f"  it says itself that {_count(found.losses, 'event')} could not be written\n")
    if found.torn:
        out.write(f"  {_count(found.torn, 'line')} had been left unfinished, and are kept as they were\n")
    if found.unfinished:
        out.write("  its last line is not finished: a gateway is writing it, or has died doing so\n")
    if not wish.with_key:
        out.write("  without the key it is not known who wrote these lines\n")
    return 0


def tail(file: Path, wish: AuditWish, out: TextIO) -> int:
    """Show the last events, and those to come if that is wanted. Returns the exit code, 0.

    Raises:
        OSError: the log cannot be read.
    """
    last = deque(events(file, wish.sought), maxlen=wish.number)
    out.writelines(_shown(line, event, as_json=wish.as_json) for line, event in last)
    if wish.follow:
        out.flush()
        for line, event in follow(file, wish.sought):
            out.write(_shown(line, event, as_json=wish.as_json))
            out.flush()
    return 0


def export(file: Path, wish: AuditWish, out: TextIO) -> int:
    """Write the lines of the log that are wanted, as they are. Returns the exit code, 0.

    Raises:
        OSError: the log cannot be read, or the file not made.
    """
    found = events(file, wish.sought)
    if wish.output is None:
        _write(found, out)
        return 0
    descriptor = os.open(wish.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as made:
        count = _write(found, made)
    out.write(f"{_count(count, 'event')} in {wish.output}\n")
    return 0


def _write(found: Iterator[tuple[bytes, Event]], out: TextIO) -> int:
    count = 0
    for line, _ in found:
        out.write(f"{line.decode()}\n")
        count += 1
    return count


def _shown(line: bytes, event: Event, *, as_json: bool) -> str:
    if as_json:
        return f"{line.decode()}\n"
    moment = event.time.astimezone().isoformat(sep=" ", timespec="milliseconds")
    duration = "" if event.duration_ms is None else f"{event.duration_ms:g} ms"
    who = event.by.subject and f"{event.by.subject}{f' (by {event.by.actor})' if event.by.actor else ''}"
    rule = event.rule and f"[{event.rule}]"
    count = f"({event.count})" if event.count else ""
    decision = event.decision.value if event.decision is not None else ""
    parts = (event.kind.value, decision, who, event.ip, event.method, event.server, event.name, event.outcome)
    words = (moment, *parts, duration, rule, event.detail, count)
    return printable("  ".join(word for word in words if word)) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
