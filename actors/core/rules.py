"""The rules that settings keep: each says where, whether all is well, and what is demanded.

Sentences never repeat the value they refuse, because any value may hold a secret.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

STRICT: Final = {"extra": "forbid", "strict": True}
"""For pydantic, which reads it from the classes of settings: no unknown keys, and no `"5"` for a number."""

MAX_SECONDS: Final = 86_400.0
"""A day: longer waits are milliseconds taken for seconds."""

MIN_BYTES: Final = 1024
MAX_BYTES: Final = 1024 * 1024 * 1024
"""Sizes below and above are another unit taken for bytes."""

_HEADER_NAME_PATTERN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""A token (RFC 9110, 5.6.2)."""
_CONTROL_PATTERN: Final = r"[\x00-\x08\x0a-\x1f\x7f]"
"""What a header value may not hold; a tab is allowed (RFC 9110, 5.5)."""

Rule = tuple[tuple[str, ...], bool, str]
"""The path inside the settings object, whether all is well there, and the sentence if it is not."""


class SettingsError(ValueError):
    """Settings that cannot work. `reasons` has, for each, the path inside the object and a sentence without values."""

    def __init__(self, reasons: tuple[tuple[tuple[str, ...], str], ...]) -> None:
        super().__init__(reasons)
        self.reasons = reasons

    def __str__(self) -> str:
        return "; ".join(" ".join(filter(None, [".".join(path), sentence])) for path, sentence in self.reasons)


def require(*rules: Rule) -> None:
    """Hold all rules at once.

    Raises:
        SettingsError: with a reason for every rule that is broken.
    """
    reasons = tuple((path, sentence) for path, well, sentence in rules if not well)
    if reasons:
        raise SettingsError(reasons)


def between(path: str, value: int, least: int, most: int) -> Rule:
    """A whole number with both its bounds allowed."""
    return (path,), least <= value <= most, f"must be {least} to {most}"


def byte_size(path: str, value: int, most: int = MAX_BYTES) -> Rule:
    """A limit in bytes."""
    return (path,), MIN_BYTES <= value <= most, f"must be {MIN_BYTES} to {most} bytes"


def seconds(path: str, value: float, *, zero: bool = False) -> Rule:
    """A time in seconds, never infinite and always a number; `zero` allows nothing at all."""
    enough = value >= 0 if zero else value > 0
    sentence = f"must be {'at least' if zero else 'more than'} 0 and at most {MAX_SECONDS:.0f} seconds"
    return (path,), enough and value <= MAX_SECONDS, sentence


def texts(path: str, values: Iterable[str]) -> Rule:
    """What an operating system takes as arguments: anything without NUL."""
    return (path,), all("\0" not in value for value in values), "must not hold a NUL character"


def host_well(host: str) -> bool:
    """Whether this is an address, or may be a host name: no port, no brackets, no URL."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(re.fullmatch(r"[A-Za-z0-9._-]+", host))
    return True


def networks(path: str, values: Iterable[str]) -> Rule:
    """Addresses, and networks in CIDR form."""
    return (path,), all(map(_is_network, values)), "must hold addresses and networks like 10.0.0.0/8"


def url_rule(path: str, url: str, *, instead: str, schemes: tuple[str, ...] = ("http", "https")) -> Rule:
    """A URL with a host, of one of these schemes; `instead` says where a user name and a password belong."""
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        return (path,), False, "must not hold spaces or control characters"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return (path,), False, "is not a valid URL"
    if parts.scheme not in schemes:
        return (path,), False, f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if "@" in parts.netloc:
        return (path,), False, f"must not hold a user name or a password: {instead}"
    return (path,), bool(parts.hostname), "names no host"


def header_rules(headers: Mapping[str, str]) -> Iterator[Rule]:
    """The names and values of a mapping called `headers`."""
    # A bad name is not repeated: it may be a whole header line, secret included.
    names = [name for name in headers if re.fullmatch(_HEADER_NAME_PATTERN, name)]
    well = len(names) == len(headers)
    yield ("headers",), well, "has a header name with characters that header names may not have"
    for name in names:
        value = headers[name]
        yield ("headers", name), not re.search(_CONTROL_PATTERN, value), "holds a line break or a control character"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def clashes(names: Iterable[str]) -> dict[str, str]:
    """The names that equal an earlier one but for upper and lower case, each with that earlier one."""
    first: dict[str, str] = {}
    clashing: dict[str, str] = {}
    for name in names:
        if name.casefold() in first:
            clashing[name] = first[name.casefold()]
        else:
            first[name.casefold()] = name
    return clashing
