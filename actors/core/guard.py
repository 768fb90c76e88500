"""Which `Host` and `Origin` headers may pass, so that no web page reaches a gateway through its visitor's browser.

A page can make a browser send requests to a loopback address, under its own host name by DNS rebinding. It can
change neither `Host` nor `Origin`, which is why both are checked (2025-11-25, basic/transports, Security Warning).
"""

import ipaddress
import re
from enum import StrEnum
from typing import Final

from actors.core.settings import ServerSettings

ANY: Final = "*"
"""An entry of `allowed_hosts` or `allowed_origins` that admits everything."""

MAX_REMEMBERED: Final = 256
"""Pairs of headers whose check is remembered; real clients send a handful."""

MAX_REMEMBERED_LENGTH: Final = 512
"""Longer headers are checked every time, so that what is remembered stays small."""

DEFAULT_PORTS: Final = {"http": "80", "https": "443"}

_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")


class Objection(StrEnum):
    """Which header was refused; the value is the sentence for the client."""

    HOST = "this Host is not allowed; the gateway's administrator can list it in server.allowed_hosts"
    ORIGIN = "this Origin is not allowed; the gateway's administrator can list it in server.allowed_origins"


def is_loopback(host: str) -> bool:
    """Whether a host name or address, an IPv6 one with or without brackets, is this machine's own by definition."""
    name = host.lower().removeprefix("[").removesuffix("]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Checks the `Host` and `Origin` of every request.

    `allowed_hosts` entries without a port (or with `:*`) admit every port. `allowed_origins` entries are whole
    origins, `https://app.example.com`, compared without a default port; `null` is admitted only if listed.
    """

    def __init__(self, server: ServerSettings) -> None:
        self._loopback = is_loopback(server.host)
        self._hosts = frozenset(entry.lower().removesuffix(":*") for entry in server.allowed_hosts)
        self._any_host = ANY in self._hosts or not (self._loopback or self._hosts)
        self._origins = frozenset(_without_default_port(entry.lower()) for entry in server.allowed_origins)
        self._remembered: set[tuple[str | None, str | None]] = set()

    def check(self, host: str | None, origin: str | None) -> Objection | None:
        """Say which of the two headers is refused, if one is; `None` stands for a header that was not sent."""
        pair = (host, origin)
        if pair in self._remembered:
            return None
        if not self._admits_host(host):
            return Objection.HOST
        if origin is not None and not self._admits_origin(origin.lower(), host):
            return Objection.ORIGIN
        self._remember(pair)
        return None

    def _admits_host(self, host: str | None) -> bool:
        if self._any_host:
            return True
        authority = _authority(host)
        if authority is None:
            return False
        name, port = authority
        ports = DEFAULT_PORTS.values() if port is None else (port,)
        return is_loopback(name) or not self._hosts.isdisjoint({name, *(f"{name}:{port}" for port in ports)})

    def _admits_origin(self, origin: str, host: str | None) -> bool:
        if ANY in self._origins or _without_default_port(origin) in self._origins:
            return True
        scheme, _, rest = origin.partition("://")
        page, asked = _authority(rest), _authority(host)
        if scheme not in DEFAULT_PORTS or page is None:
            return False
        if self._loopback and is_loopback(page[0]):
            return True
        default = DEFAULT_PORTS[scheme]
        return asked is not None and (page[0], page[1] or default) == (asked[0], asked[1] or default)

    def _remember(self, pair: tuple[str | None, str | None]) -> None:
        if sum(len(header or "") for header in pair) > MAX_REMEMBERED_LENGTH:
            return
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered.add(pair)


def _authority(text: str | None) -> tuple[str, str | None] | None:
    match = _AUTHORITY.fullmatch(text.lower()) if text else None
    return (match[1], match[2]) if match else None


def _without_default_port(origin: str) -> str:
    scheme, _, rest = origin.partition("://")
    return origin.removesuffix(f":{DEFAULT_PORTS[scheme]}") if rest and scheme in DEFAULT_PORTS else origin
