"""The settings of the audit. `actors.core.settings` says how they are read."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from actors.core.rules import STRICT, Rule, between, byte_size, host_well, require, seconds, url_rule

MAX_SOCKET_BYTES: Final = 107
"""Of the path of a socket, as the system takes it."""

_HOST_AND_PORT: Final = re.compile(r"(?P<host>[^\[\]:]+|\[[^\[\]]+\]):(?P<port>[0-9]{1,5})")


class Arguments(StrEnum):
    """What the audit has of the arguments of a call."""

    DIGEST = "digest"
    """Their digest under a key of the log: equal arguments are seen to be equal, and not what they are."""
    REDACTED = "redacted"
    """Themselves, without the values whose names sound like secrets or that `redact` names."""
    NONE = "none"


class Sync(StrEnum):
    """When what was written is forced to the disk."""

    ALWAYS = "always"
    """After every batch."""
    INTERVAL = "interval"
    """Every second."""
    NEVER = "never"
    """When the system sees fit."""


class OnFailure(StrEnum):
    """What becomes of calls while the audit cannot be written."""

    REFUSE = "refuse"
    CONTINUE = "continue"
    """They go on, and what was lost is counted, in metrics and in the log itself once it can be written again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """The log of who did what."""

    __pydantic_config__: ClassVar = STRICT

    file: str | None = None
    """By default `audit/audit.jsonl` in the user's folder for state."""
    arguments: Arguments = Arguments.DIGEST
    redact: tuple[str, ...] = ()
    """Further names of arguments, as globs, whose values are not to be kept."""
    sync: Sync = Sync.INTERVAL
    max_bytes: int = 64 * 1024 * 1024
    """Of one file; then the next one is begun, which continues the chain."""
    keep_files: int = 10
    """Files that are kept besides the one that is written."""
    lists: bool = True
    """Whether lists that were answered are events, too."""
    on_failure: OnFailure = OnFailure.CONTINUE
    buffer: int = 10_000
    """Events that may wait at one ingress replica; beyond it `on_failure` applies."""
    syslog: str | None = None
    """`host:port` (UDP, RFC 5424) or the absolute path of a socket, to which every event is sent besides."""
    otlp_url: str | None = None
    """An OTLP/HTTP endpoint for logs, to which every event is sent besides."""
    flush_seconds: float = 0.2
    """Between two batches."""

    def __post_init__(self) -> None:
        require(
            byte_size("max_bytes", self.max_bytes, 2**40),
            between("keep_files", self.keep_files, 0, 10_000),
            between("buffer", self.buffer, 1, 1_000_000),
            seconds("flush_seconds", self.flush_seconds),
            *([] if self.syslog is None else [_syslog_rule(self.syslog)]),
            *([] if self.otlp_url is None else [url_rule("otlp_url", self.otlp_url, instead="use the environment")]),
        )


def host_and_port(address: str) -> tuple[str, int] | None:
    """What `host:port` or `[address]:port` says; nothing if it is neither."""
    match = _HOST_AND_PORT.fullmatch(address)
    host = "" if match is None else match["host"].strip("[]")
    if match is None or not host_well(host) or not 0 < int(match["port"]) < 2**16:
        return None
    return host, int(match["port"])


def _syslog_rule(address: str) -> Rule:
    if not address.startswith("/"):
        sentence = "must be host:port, with a port from 1 to 65535, or the path of a socket from the root on"
        return ("syslog",), host_and_port(address) is not None, sentence
    well = "\0" not in address and len(address.encode()) <= MAX_SOCKET_BYTES
    return ("syslog",), well, f"must be a path of at most {MAX_SOCKET_BYTES} bytes"
