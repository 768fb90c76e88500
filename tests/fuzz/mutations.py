"""Makes bad input out of good: bytes and whole values, spoilt in the ways that break parsers. Dice are an argument."""

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

NUMBERS: Final = (b"1e999", b"-0", b"18446744073709551616", b"9" * 400, b"1E-400", b"-9223372036854775809", b"0.1e1")
"""Those beyond one bound or another, or written in ways that few expect."""

BAD_UTF8: Final = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf", b"\x80", b"\xef\xbb\xbf")
"""No beginning, a cut-off sequence, a surrogate, beyond Unicode, overlong, a continuation, a byte order mark."""

DEPTHS: Final = ((3, 60), (3, 60), (60, 600), (700, 1000), (700, 1000), (5000, 5000))
"""Of nested arrays and objects, from and to: within every limit, around the interpreter's, and far beyond."""

VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    7,
    2**31,
    2**53 + 1,
    2**64 - 1,
    1.5,
    1e308,
    "",
    "x",
    "é\U0001f600",
    "\x00\r\n\u2028",
    "\ud800",
    "a" * 3000,
    "2025-11-25",
    [],
    [[]],
    [None] * 300,
    {},
    {"": None},
    {"method": "ping", "id": 1},
)
"""What stands where another type, another length, or another letter was expected."""

_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")
_KEY: Final = re.compile(rb'"[A-Za-z_]+":')
_MAX_INSERTED: Final = 8
_MAX_CRUMBS: Final = 1000


class Mutator:
    """Spoils one input. The same dice make the same of it."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice

    def bytes_of(self, seeds: Sequence[bytes]) -> bytes:
        """One of the seeds, mostly with one to four things done to it; now and then as it is."""
        data = self.dice.choice(seeds)
        for _ in range(self.dice.choice((0, 1, 1, 1, 2, 4))):
            data = self.dice.choice(_OPERATIONS)(self, data, seeds)
        return data

    def value_of(self, value: Any) -> Any:
        """The value with one thing in it, at any depth, replaced, repeated, or taken away; now and then as it is."""
        if self.dice.random() < 0.1:
            return value
        if not isinstance(value, (dict, list)) or not value or self.dice.random() < 0.06:
            return self.dice.choice(VALUES)
        if isinstance(value, list):
            return self._list_of(value)
        key = self.dice.choice(list(value))
        match self.dice.randrange(8):
            case 0:
                return {each: value[each] for each in value if each != key}
            case 1:
                return {**value, str(self.dice.choice(VALUES))[:40]: value[key]}
            case _:
                return {**value, key: self.value_of(value[key])}

    def json_of(self, value: Any) -> bytes:
        """A spoilt value as JSON, which stays JSON; letters beyond ASCII as they are, or escaped."""
        spoilt = self.value_of(value)
        try:
            return json.dumps(spoilt, ensure_ascii=self.dice.random() < 0.5).encode()
        except UnicodeEncodeError:  # half of a surrogate pair can only be escaped
            return json.dumps(spoilt).encode()

    def pieces(self, data: bytes) -> list[bytes]:
        """The same bytes in one to five pieces, of which some may be empty, or byte by byte."""
        if 0 < len(data) <= _MAX_CRUMBS and self.chance(0.1):
            return [data[place : place + 1] for place in range(len(data))]
        cuts = sorted(self.dice.randrange(len(data) + 1) for _ in range(self.dice.choice((0, 0, 1, 2, 4))))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def chance(self, share: float) -> bool:
        """True in this share of all cases."""
        return self.dice.random() < share

    def _list_of(self, value: list[Any]) -> list[Any]:
        place = self.dice.randrange(len(value))
        match self.dice.randrange(6):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return [*value[:place], value[place], *value[place:]]
            case _:
                return [*value[:place], self.value_of(value[place]), *value[place + 1 :]]

    def _place(self, data: bytes) -> int:
        return self.dice.randrange(len(data) + 1)

    def _flip(self, data: bytes, _: Sequence[bytes]) -> bytes:
        spoilt = bytearray(data)
        times = self.dice.choice((1, 1, 2, 8)) if data else 0
        for _time in range(times):
            spoilt[self.dice.randrange(len(spoilt))] ^= 1 << self.dice.randrange(8)
        return bytes(spoilt)

    def _truncate(self, data: bytes, _: Sequence[bytes]) -> bytes:
        place = self._place(data)
        return data[:place] if self.chance(0.8) else data[place:]

    def _insert(self, data: bytes, _: Sequence[bytes]) -> bytes:
        place = self._place(data)
        return data[:place] + self.dice.randbytes(self.dice.randint(1, _MAX_INSERTED)) + data[place:]

    def _insert_bad_utf8(self, data: bytes, _: Sequence[bytes]) -> bytes:
        place = self._place(data)
        return data[:place] + self.dice.choice(BAD_UTF8) + data[place:]

    def _remove(self, data: bytes, _: Sequence[bytes]) -> bytes:
        start = self._place(data)
        return data[:start] + data[start + self.dice.randint(1, 40) :]

    def _repeat(self, data: bytes, _: Sequence[bytes]) -> bytes:
        start = self._place(data)
        part = data[start : start + self.dice.randint(1, 200)]
        return data[:start] + part * self.dice.choice((2, 2, 3, 30)) + data[start + len(part) :]

    def _splice(self, data: bytes, seeds: Sequence[bytes]) -> bytes:
        other = self.dice.choice(seeds)
        return data[: self._place(data)] + other[self._place(other) :]

    def _append(self, data: bytes, seeds: Sequence[bytes]) -> bytes:
        return data + self.dice.choice((b"", b"\n", b"\r\n", b",")) + self.dice.choice(seeds)

    def _nest(self, data: bytes, _: Sequence[bytes]) -> bytes:
        depth = self.dice.randint(*self.dice.choice(DEPTHS))
        opening, closing = self.dice.choice(((b"[", b"]"), (b'{"a":', b"}")))
        inner = self.dice.choice((b"1", b""))
        return self._replaced(_NUMBER, data, opening * depth + inner + closing * self.dice.choice((depth, 0)))

    def _grow_number(self, data: bytes, _: Sequence[bytes]) -> bytes:
        return self._replaced(_NUMBER, data, self.dice.choice(NUMBERS))

    def _repeat_key(self, data: bytes, _: Sequence[bytes]) -> bytes:
        keys = list(_KEY.finditer(data))
        if not keys:
            return data
        key = self.dice.choice(keys)
        value = json.dumps(self.dice.choice(VALUES)).encode()
        return data[: key.start()] + key[0] + value + b"," + data[key.start() :]

    def _replaced(self, pattern: re.Pattern[bytes], data: bytes, by: bytes) -> bytes:
        found = list(pattern.finditer(data))
        if not found:
            return data
        place = self.dice.choice(found)
        return data[: place.start()] + by + data[place.end() :]


_OPERATIONS: Final[tuple[Callable[[Mutator, bytes, Sequence[bytes]], bytes], ...]] = (
    Mutator._flip,
    Mutator._flip,
    Mutator._truncate,
    Mutator._insert,
    Mutator._insert_bad_utf8,
    Mutator._remove,
    Mutator._repeat,
    Mutator._splice,
    Mutator._append,
    Mutator._nest,
    Mutator._grow_number,
    Mutator._repeat_key,
)
