"""Arguments without what is secret in them, and no larger than a log can bear."""

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache
from typing import Any, Final

import msgspec

from actors.core import jsonrpc

REDACTED: Final = "[redacted]"
TOO_DEEP: Final = "[nested deeper]"
UNREADABLE: Final = "[unreadable]"

MAX_DEPTH: Final = 6
MAX_ITEMS: Final = 32
"""Of each object and array."""
MAX_TEXT: Final = 256
"""Characters of each string, and of each name."""
MAX_BYTES: Final = 4096
"""Of all of it; of more, only its size and names are kept."""
MAX_READ: Final = 64 * 1024
"""Larger arguments are not read."""

MAX_NAMES: Final = 4096
"""Of which is remembered whether they sound like secrets."""
SHORTEST: Final = 4
"""Characters of a text in which no credential could stand."""

SECRET_NAME: Final = re.compile(
    r"pass.?(?:word|wd|phrase|code)|\bpass\b|\bpwd|\bpw\b|\bpin\b|secret|token|authori[sz]ation|\bauth\b|api.?key|access.?key|"
    r"private.?key|signing.?key|encryption.?key|\bkey\b|cookie|credential|session.?id|\bjwt\b|bearer|\botp\b|signature",
    re.IGNORECASE,
)
"""Names that sound like secrets."""

_SECRET_TEXT: Final = re.compile(
    r"(?i)\b(?:bearer|basic|dpop)\s+[\w.~+/=-]{8,}|\bo1m_[\w-]+|(?<![\w-])eyJ[\w-]{10,}\.[\w-]+\.[\w-]*"
    r"|(?<=://)[^\s/@]*@|(?<=[?&;])[^=&?;\s]{0,40}(?:pass|secret|token|key|auth|sig|credential|code)"
    r"[^=&?;\s]{0,40}=[^&\s#]*|-----BEGIN[^-]*PRIVATE KEY-----(?s:.*)"
)
"""Credentials in the midst of a text: headers, our keys, JWTs, user parts and parameters of URLs, PEM."""

_NAME_MEMBERS: Final = ("name", "key", "header", "field")
"""Members by which an object tells what its `value` is."""

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_.-]")
_NOTHING: Final = re.compile(r"(?!)")


class Redaction:
    """What of arguments may be kept. Made once from the settings."""

    def __init__(self, globs: Iterable[str] = ()) -> None:
        """`globs` are further names whose values are not to be kept, whatever their case."""
        patterns = [translate(glob) for glob in globs]
        self._named = re.compile("|".join(patterns), re.IGNORECASE) if patterns else _NOTHING
        self._is_secret = lru_cache(MAX_NAMES)(self._sounds_secret)

    def arguments(self, raw: bytes | msgspec.Raw) -> bytes:
        """Raw JSON as it may be kept, at most `MAX_BYTES` of JSON."""
        written = bytes(raw)
        if len(written) > MAX_READ:
            return jsonrpc.encode({"bytes": len(written)})
        try:
            value = jsonrpc.value(written)
            kept = jsonrpc.encode(self.shown(value))
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            return jsonrpc.encode(UNREADABLE)
        if len(kept) <= MAX_BYTES:
            return kept
        names = [self.text(str(name))[:32] for name in value][:MAX_ITEMS] if isinstance(value, dict) else []
        return jsonrpc.encode({"bytes": len(written), "names": names})

    def shown(self, value: Any, depth: int = 0) -> Any:
        """A value as it may be kept."""
        match value:
            case str():
                return self.text(value)
            case dict() | list() if depth >= MAX_DEPTH:
                return TOO_DEEP
            case dict():
                return self._members(value, depth)
            case list():
                items = [self.shown(each, depth + 1) for each in value[:MAX_ITEMS]]
                return [*items, f"[{len(value) - MAX_ITEMS} more]"] if len(value) > MAX_ITEMS else items
            case _:
                return value

    def text(self, text: str) -> str:
        """A text as it may be kept: cut, and without credentials that stand in it."""
        # the part that is looked at is longer than the part that is kept: a credential must not be cut into innocence
        clean = _SECRET_TEXT.sub(REDACTED, text[: 16 * MAX_TEXT]) if len(text) > SHORTEST else text
        return clean if len(clean) <= MAX_TEXT else f"{clean[:MAX_TEXT]}…"

    def is_secret(self, name: str) -> bool:
        """Whether values of this name are not to be kept."""
        return self._is_secret(name) if len(name) <= MAX_TEXT else self._sounds_secret(name)

    def _sounds_secret(self, name: str) -> bool:
        return bool(SECRET_NAME.search(_CAMEL.sub(" ", name)) or SECRET_NAME.search(name) or self._named.match(name))

    def _members(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        tells = [value[member] for member in _NAME_MEMBERS if isinstance(value.get(member), str)]
        value_is_secret = any(self.is_secret(name) for name in tells)
        kept: dict[str, Any] = {}
        for name, member in list(value.items())[:MAX_ITEMS]:
            secret = value_is_secret if name == "value" else name not in _NAME_MEMBERS and self.is_secret(name)
            secret = secret or (name == "key" and "value" not in value)
            kept[self.text(name)] = REDACTED if secret else self.shown(member, depth + 1)
        if len(value) > MAX_ITEMS:
            kept["…"] = len(value) - MAX_ITEMS
        return kept
