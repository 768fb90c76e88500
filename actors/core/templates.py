"""Which resource template a URI comes from (RFC 6570, as far as matching needs it).

Templates are the servers' own text, and a regular expression made of `{+a}-{+b}-{+c}` takes time to the power of its
expressions. So all ways to match are followed at once: bit `n` of a number stands for position `n` of the URI.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

URI_LIMIT: Final = 4096
"""Characters; a longer URI matches no template, which bounds what looking for its owner costs."""

_EXPRESSION: Final = re.compile(r"\{([+#./;?&]?)[^{}]*\}")
_RESERVED: Final = re.compile(r"[#./;?&]")


class _Literal(NamedTuple):
    text: str

    def advance(self, reached: int, uri: str, _places: Mapping[str, int]) -> int:
        starts, at = 0, uri.find(self.text)
        while at >= 0:
            starts |= 1 << at
            at = uri.find(self.text, at + 1)
        return (reached & starts) << len(self.text)


class _Value(NamedTuple):
    """What an expression can become: its own sign and characters up to a stop, or nothing at all without the sign."""

    sign: str | None
    stops: str

    def advance(self, reached: int, uri: str, places: Mapping[str, int]) -> int:
        allowed = (1 << len(uri)) - 1
        for stop in self.stops:
            allowed &= ~places.get(stop, 0)
        first = allowed if self.sign is None else places.get(self.sign, 0)
        begun = (reached & first) << 1
        # Added to a run of allowed characters, a bit is carried to the end of that run and changes all it passes.
        ends = begun | (((begun & allowed) + allowed) ^ allowed)
        return ends if self.sign is None else ends | reached


_VALUES: Final = {
    "": _Value(None, "/?#"),
    "+": _Value(None, ""),
    "#": _Value("#", ""),
    ".": _Value(".", "/?#"),
    "/": _Value("/", "?#"),
    ";": _Value(";", "/?#"),
    "?": _Value("?", "#"),
    "&": _Value("&", "#"),
}
"""By operator. A variable without operator has a value of at least one character."""


class Template:
    """One template, ready to be matched."""

    def __init__(self, text: str) -> None:
        self._steps = tuple(_steps(text))
        self._prefix = text.partition("{")[0]

    def matches(self, uri: str) -> bool:
        """Whether the template can expand to `uri`, in time linear in its length."""
        if len(uri) > URI_LIMIT or not uri.startswith(self._prefix):
            return False
        places: dict[str, int] = {}
        for found in _RESERVED.finditer(uri):
            places[found[0]] = places.get(found[0], 0) | 1 << found.start()
        reached = 1
        for step in self._steps:
            reached = step.advance(reached, uri, places)
            if not reached:
                return False
        return bool(reached >> len(uri))


def _steps(text: str) -> Iterator[_Literal | _Value]:
    end = 0
    for expression in _EXPRESSION.finditer(text):
        if literal := text[end : expression.start()]:
            yield _Literal(literal)
        yield _VALUES[expression[1]]
        end = expression.end()
    if literal := text[end:]:
        yield _Literal(literal)
