"""What is wrong with a file: collected first, reported at once."""

import difflib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Where = tuple[str | int, ...]
"""Keys and list positions from the top of the file."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_.$-]{1,64}")

_SECRET_MAPPINGS: Final = frozenset({"env", "headers"})

_OFTEN_MEANT: Final = {"servers": "mcpServers", "serverUrl": "url", "httpUrl": "url", "transport": "type"}
"""Words of other programs that look more like something else here."""


def spell(where: Where) -> str:
    """A place in the file, as in `auth.issuers[0].audience`."""
    text = ""
    for position, key in enumerate(where):
        if isinstance(key, int):
            text += f"[{key}]"
            continue
        if not _PLAIN_KEY.fullmatch(key):
            # Where a name should be, a whole `NAME=secret` may have been pasted.
            hidden = position > 0 and where[position - 1] in _SECRET_MAPPINGS
            key = '"…"' if hidden else json.dumps(key)
        text += f".{key}" if text else key
    return text


def suggestion(key: str, known: Collection[str]) -> str:
    """A question after a sentence about an unknown key, or nothing."""
    if _OFTEN_MEANT.get(key) in known:
        return f"; did you mean {_OFTEN_MEANT[key]!r}?"
    by_folded = {name.casefold().replace("-", "_"): name for name in known}
    close = difflib.get_close_matches(key.casefold().replace("-", "_"), by_folded, n=1)
    return f"; did you mean {by_folded[close[0]]!r}?" if close else ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    where: Where
    """Empty for the file as a whole."""
    reason: str
    """A sentence for a person, without secrets."""

    def __str__(self) -> str:
        return f"{spell(self.where)}: {self.reason}" if self.where else self.reason


class Problems:
    """Everything found so far, one problem a place: what follows from the first is not worth reading."""

    def __init__(self) -> None:
        self._by_place: dict[Where, Problem] = {}

    def add(self, where: Where, reason: str) -> None:
        """Note a problem, unless this place has one."""
        self._by_place.setdefault(where, Problem(where, reason))

    def found(self) -> tuple[Problem, ...]:
        """All of them, in the order they were found."""
        return tuple(self._by_place.values())

    def __len__(self) -> int:
        return len(self._by_place)


class ConfigError(Exception):
    """A file that cannot be used; printed, it has one line for each problem."""

    def __init__(self, file: Path, problems: tuple[Problem, ...]) -> None:
        super().__init__(file, problems)
        self.file = file
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{self.file}: {problem}" for problem in self.problems)


class EntryError(Exception):
    """One server that cannot be used. `problems` have their places inside its entry."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(map(str, self.problems))
