"""The severities of log messages, and which of them whoever asked for a level wants to hear."""

from typing import Final

import msgspec

LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""The most verbose first (RFC 5424, section 6.2.1; 2025-11-25, server/utilities/logging)."""

_SEVERITY: Final = {level: severity for severity, level in enumerate(LOG_LEVELS)}


class _Log(msgspec.Struct):
    level: str


_log_decoder: Final = msgspec.json.Decoder(_Log)


def wants_log(level: str | None, params: bytes | msgspec.Raw) -> bool:
    """Whether somebody who asked for a level, or for none, wants to hear a `notifications/message`.

    What cannot be placed is heard: a server may have levels of its own.
    """
    if level is None:
        return False
    try:
        severity = _SEVERITY.get(_log_decoder.decode(params).level, len(LOG_LEVELS))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return True
    return severity >= _SEVERITY.get(level, 0)


def is_more_verbose(level: str, than: str | None) -> bool:
    """Whether a level lets more through than another does; any that there is does, compared to none."""
    if level not in _SEVERITY:
        return False
    return than is None or _SEVERITY[level] < _SEVERITY.get(than, len(LOG_LEVELS))
