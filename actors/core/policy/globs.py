"""Globs: `*` stands for any text, also none, and `?` for any character. Nothing else is special, and case matters."""

import re
from collections.abc import Callable
from functools import lru_cache

Matcher = Callable[[str], bool]


@lru_cache(maxsize=4096)
def matcher_of(globs: tuple[str, ...]) -> Matcher:
    """Whether a text matches one of the globs. Names and URIs come from strangers, so it never takes long to tell."""
    if "*" in globs:
        return _anything
    plain = frozenset(glob for glob in globs if not {"*", "?"} & set(glob))
    patterns = tuple(_Glob(glob) for glob in globs if glob not in plain)
    if not patterns:
        return plain.__contains__
    return lambda text: text in plain or any(pattern.matches(text) for pattern in patterns)


def _anything(_text: str) -> bool:
    return True


class _Glob:
    """The parts between the stars; the leftmost place of each leaves the most to the next, so none is tried twice."""

    def __init__(self, glob: str) -> None:
        self._parts = re.split(r"\*+", glob)
        self._patterns = [
            re.compile("".join("." if char == "?" else re.escape(char) for char in part), re.DOTALL)
            for part in self._parts
        ]

    def matches(self, text: str) -> bool:
        first, *middle = self._patterns
        if not middle:
            return first.fullmatch(text) is not None
        at, end = len(self._parts[0]), len(text) - len(self._parts[-1])
        if at > end or not first.match(text):
            return False
        for pattern in middle[:-1]:
            found = pattern.search(text, at, end)
            if found is None:
                return False
            at = found.end()
        return middle[-1].match(text, end) is not None
