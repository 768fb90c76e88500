"""Whether an address is in one of some networks."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as a socket for both kinds shows them (RFC 4291, 2.5.5.2)."""


class Networks:
    """Addresses and CIDR networks. An IPv4 address is the same one when it is written as an IPv6 address."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks = tuple(_plain_network(ip_network(text)) for text in texts)

    def holds(self, address: str) -> bool | None:
        """Whether one of them has the address; nothing if it is not an address."""
        found = _plain(address)
        return None if found is None else any(found in network for network in self._networks)


@lru_cache(maxsize=4096)
def _plain(text: str) -> IPv4Address | IPv6Address | None:
    """An address, nothing if it is none. Remembered, because clients send more than one request."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _plain_network(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv4Network) or not network.subnet_of(_MAPPED):
        return network
    first = network.network_address.ipv4_mapped
    return IPv4Network((int(first or 0), network.prefixlen - _MAPPED.prefixlen))
