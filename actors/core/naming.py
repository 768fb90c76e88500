"""The names clients see on the aggregate endpoint.

Model providers accept 64 characters of `[A-Za-z0-9_-]`; longer or other names are shortened and cleaned, and then end
in a hash of what they were, so that the same tool always has the same name and two tools never share one.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

import xxhash

from actors.core.settings import Naming

LIMIT: Final = 64
SEPARATOR: Final = "__"
_HASH_DIGITS: Final = 8
_OTHER: Final = re.compile(r"[^A-Za-z0-9_-]")


class Owned(NamedTuple):
    """A tool or prompt under the name its backend gave it."""

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
    plain = Counter(_fit(each.name, each) for each in unique)
    names: dict[str, Owned] = {}
    for each in unique:
        name = _fit(each.name, each)
        if naming is Naming.NONE:
            names.setdefault(name, each)
            continue
        if naming is Naming.QUALIFIED or plain[name] > 1:
            name = qualify(each)
        if name in names:
            name = _with_hash(name, each)
        names[name] = each
    return names


def _fit(name: str, owned: Owned) -> str:
    clean = _OTHER.sub("_", name)
    if clean == name and len(name) <= LIMIT:
        return name
    return _with_hash(clean, owned)


def _with_hash(name: str, owned: Owned) -> str:
    digest = xxhash.xxh3_64_hexdigest(f"{owned.backend}\0{owned.name}".encode())[:_HASH_DIGITS]
    return f"{name[: LIMIT - _HASH_DIGITS - 1]}-{digest}"
