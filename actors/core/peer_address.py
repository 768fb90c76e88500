"""Which address a request comes from, when proxies stand between: `X-Forwarded-For` and `Forwarded` (RFC 7239).

Each proxy adds the address that it saw behind those that were there, and whoever is before the first of ours may have
written anything. So they are read from the right, and no further than to the first one that is not a proxy of ours.
"""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from actors.core.policy.networks import Networks

MAX_HOPS: Final = 32
"""Addresses that are read from the right; a chain that is longer and ours alone is a loop."""

MAX_WRITTEN: Final = 128
"""Characters of one address with all that may stand around it."""

_PARAMETER: Final = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s";,]*))\s*')
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
_WITH_PORT: Final = re.compile(r"([0-9.]+):[0-9]{1,5}")


def read_address(text: str) -> str | None:
    """An address as a proxy writes it, perhaps with brackets or a port, in its one usual form; nothing if it is none.

    An IPv4 address in IPv6 form is that IPv4 address.
    """
    return None if len(text) > MAX_WRITTEN else _read(text)


@lru_cache(maxsize=4096)
def _read(text: str) -> str | None:
    """Remembered, because clients send more than one request."""
    written = text.strip()
    match = _BRACKETED.fullmatch(written) or _WITH_PORT.fullmatch(written)
    plain = match[1] if match else written
    if "%" in plain:
        return None  # a zone is a name of an interface of the one who wrote it
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def address_behind(peer: str, trusted: Networks, forwarded_for: Sequence[str], forwarded: Sequence[str]) -> str:
    """The address of a request that `peer` sent; empty if nobody knows. The sequences are the values of the headers.

    Rungs, in order; the first which decides wins:

    1. A peer that is no proxy of ours is where the request comes from, whatever it says.
    2. A proxy of ours that says nothing asks for itself.
    3. Of two headers that do not agree one was written by a stranger, and nobody knows which.
    """
    own = read_address(peer)
    if own is None:
        return ""
    if not trusted.holds(own):
        return own
    chains = [chain for chain in (_split(forwarded_for), _forwarded(forwarded)) if chain]
    found = {_rightmost(chain, trusted) for chain in chains} or {own}
    return found.pop() if len(found) == 1 else ""


def _rightmost(chain: Sequence[str], trusted: Networks) -> str:
    """The first address from the right that is not trusted, or the leftmost; empty where one cannot be read."""
    if len(chain) > MAX_HOPS:
        chain = ["", *chain[-MAX_HOPS:]]
    address = None
    for text in reversed(chain):
        address = read_address(text)
        if address is None or not trusted.holds(address):
            break
    return address or ""


def _split(values: Sequence[str]) -> list[str]:
    return [part for value in values for part in value.split(",")]


def _forwarded(values: Sequence[str]) -> list[str]:
    """The `for` of each element; empty, which is no address, where there is none or the header is malformed."""
    return [_for_of(element) for value in values for element in _elements(value)]


def _elements(value: str) -> list[list[tuple[str, str]] | None]:
    """The parameters of each element; `None` for all that is left once something cannot be read."""
    found: list[list[tuple[str, str]] | None] = []
    element: list[tuple[str, str]] = []
    place = 0
    while True:
        match = _PARAMETER.match(value, place)
        if match is None:
            return [*found, None]
        quoted, token = match[2], match[3]
        element.append((match[1].lower(), token if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)))
        place = match.end()
        divider = value[place : place + 1]
        if divider != ";":
            found.append(element)
            element = []
        if not divider:
            return found
        if divider not in ",;":
            return [*found, None]
        place += 1


def _for_of(element: list[tuple[str, str]] | None) -> str:
    named = [value for name, value in element or () if name == "for"]
    return named[0] if len(named) == 1 else ""
