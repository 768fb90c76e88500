"""Which URLs may be fetched that somebody outside named: a server's metadata, or an authorization server's.

Whoever can make the gateway fetch what they like can reach what only the gateway can: the machine itself, the network
behind it, a cloud's metadata service. So such a URL is https and leads to a public address. What the configuration
names is trusted, and so is all of its origin (scheme, host and port).
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

MAX_URL_CHARS: Final = 2048

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def origin_of(url: str) -> str | None:
    """Scheme, host and port, in one way of writing; nothing if the text is no URL of HTTP without a user name."""
    if len(url) > MAX_URL_CHARS or re.search(r"[^\x21-\x7e]|\\", url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{_DEFAULT_PORTS[parts.scheme] if port is None else port}"


def is_loopback(url: str) -> bool:
    """Whether the host of a URL is this machine, by its name or its address."""
    origin = origin_of(url)
    host = (urlsplit(origin).hostname if origin else None) or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class UrlGuard:
    """Judges URLs, and the addresses that their names resolve to."""

    def __init__(self, trusted: Iterable[str]) -> None:
        """`trusted` are URLs of the configuration. If one is this machine's own, others may be, too: a trial of all
        on one machine."""
        urls = tuple(trusted)
        self._origins = frozenset(filter(None, map(origin_of, urls)))
        self._loopback = any(map(is_loopback, urls))

    def is_trusted(self, url: str) -> bool:
        """Whether the configuration names its origin."""
        return origin_of(url) in self._origins

    def fault(self, url: str) -> str | None:
        """Why a URL is not to be fetched, as far as its text tells; nothing if it may be. Rungs, in order:

        1. It is a URL of HTTP, and names no user.
        2. Its origin is trusted.
        3. It is https, but for one of this machine where that is allowed.
        4. An address in it is a public one.
        """
        origin = origin_of(url)
        if origin is None:
            return "it is not a URL of HTTP, or names a user"
        if origin in self._origins or (self._loopback and is_loopback(url)):
            return None
        if not origin.startswith("https://"):
            return "it is not https"
        try:
            ipaddress.ip_address(urlsplit(origin).hostname or "")
        except ValueError:
            return None  # a name: what it resolves to is judged when it is connected to
        return self.address_fault(urlsplit(origin).hostname or "")

    def address_fault(self, address: str) -> str | None:
        """Why an address is not to be connected to for a URL that is not trusted; nothing if it may be."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return "it leads to no address"
        if self._loopback and parsed.is_loopback:
            return None
        return None if _is_public(parsed) else "it leads to an address that is not public"


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether this is an address of the public network, and none of another kind is packed into it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in _NAT64:
            return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        packed = [address.sixtofour, *(address.teredo or ())]
        if any(each is not None and not _is_public(each) for each in packed):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
