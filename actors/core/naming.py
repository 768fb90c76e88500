"""The names clients see on the aggregate endpoint.

Model providers accept 64 characters of `[A-Za-z0-9_-]`; longer or other names are shortened and cleaned, and then end
in a hash of what they were, so that the same tool always has the same name and two tools never share one.

A qualified name holds `__`, and begins with the one backend that can have it; a plain name never holds `__`. So no
server can list a tool under a name that looks like another's, and no name depends on the servers beside its own but
for the choice between plain and qualified.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

import xxhash

from actors.core.settings import Naming

LIMIT: Final = 64
SEPARATOR: Final = "__"
"""No backend's name holds it or ends in half of it, so the first one in a name is where the backend's name ends."""

_HASH_DIGITS: Final = 8
_OTHER: Final = re.compile(r"[^A-Za-z0-9_-]")
_fits: Final = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch


class Owned(NamedTuple):
    """A tool, prompt or resource under the name or URI its backend gave it."""

    backend: str
    name: str


def qualify(owned: Owned) -> str:
    """`<backend>__<name>`, fitted to the limit."""
    return _fit(f"{owned.backend}{SEPARATOR}{owned.name}", owned)


def assign(owned: Iterable[Owned], naming: Naming) -> dict[str, Owned]:
    """Give each of `owned` a name of its own, in the order given.

    Under `Naming.NONE` only the first of several with the same name is kept; otherwise none is lost.
    """
    unique = list(dict.fromkeys(owned))
    if naming is Naming.NONE:
        first: dict[str, Owned] = {}
        for each in unique:
            first.setdefault(each.name, each)
        unique = list(first.values())
    plain = {each: _fit(each.name, each) for each in unique}
    holders = Counter(plain.values())
    names: dict[str, Owned] = {}
    for each, name in plain.items():
        ambiguous = holders[name] > 1 or SEPARATOR in name
        if naming is Naming.QUALIFIED or (naming is Naming.ON_COLLISION and ambiguous):
            name = qualify(each)
        attempt = 0
        while name in names:  # a server may well list what looks like the hashed name of another tool of its own
            attempt += 1
            name = _with_hash(name, each, attempt)
        names[name] = each
    return names


def _fit(name: str, owned: Owned) -> str:
    return name if _fits(name) else _with_hash(_OTHER.sub("_", name), owned)


def _with_hash(name: str, owned: Owned, attempt: int = 0) -> str:
    digest = xxhash.xxh3_64_hexdigest(f"{owned.backend}\0{owned.name}".encode(), seed=attempt)[:_HASH_DIGITS]
    return f"{name[: LIMIT - _HASH_DIGITS - 1]}-{digest}"
