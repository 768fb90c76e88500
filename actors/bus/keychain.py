"""The link keys of one process, and the TLS that is made of them: 1.3, both ends with a certificate of the same key.

A caller names the key in the handshake (SNI), and the listener answers with that one and accepts no other. Sessions of
TLS are not resumed: each connection shows its certificate.
"""

import os
import ssl
import tempfile
from typing import Final, NamedTuple

from actors.core.link_keys import LinkKey, LinkKeys

NO_KEYS: Final = LinkKeys()


class Tls(NamedTuple):
    """What a caller needs for one connection."""

    context: ssl.SSLContext
    name: str
    """What the certificate of the listener must be for."""


class Keychain:
    """Belongs to one event loop. Everything that dials or listens in a process shares it."""

    def __init__(self, keys: LinkKeys = NO_KEYS) -> None:
        self._keys = keys
        self._calling: dict[int, ssl.SSLContext] = {}
        self._answering: dict[int, ssl.SSLContext] = {}
        """Of both, those made so far, by the number of the key."""
        self._any: ssl.SSLContext | None = None

    @property
    def keys(self) -> LinkKeys:
        """Those of the last ring."""
        return self._keys

    def adopt(self, keys: LinkKeys) -> None:
        """Go by this ring, unless it is older than what is known."""
        if keys.number <= self._keys.number:
            return
        self._keys = keys
        for made in (self._calling, self._answering):
            for number in [number for number in made if not keys.has(number)]:
                del made[number]

    def calling(self, key: LinkKey) -> Tls:
        """To dial with this key."""
        context = self._calling.get(key.number)
        if context is None:
            context = self._calling[key.number] = _context(ssl.PROTOCOL_TLS_CLIENT, key)
        return Tls(context, key.name)

    def listening(self) -> ssl.SSLContext:
        """To listen with: has the keys that there are when a caller comes, however old this is."""
        if self._any is None:
            self._any = _bare(ssl.PROTOCOL_TLS_SERVER)
            self._any.sni_callback = self._choose
        return self._any

    def chosen(self, connection: ssl.SSLObject) -> LinkKey | None:
        """The key of a connection that was let in; nothing if it is accepted no longer."""
        return next((key for key in self._keys.keys if self._answering.get(key.number) is connection.context), None)

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        key = next((key for key in self._keys.keys if key.name == name), None)
        if key is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        context = self._answering.get(key.number)
        if context is None:
            context = self._answering[key.number] = _context(ssl.PROTOCOL_TLS_SERVER, key)
        connection.context = context
        return None


def _bare(side: int) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET
    if side == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    return context


def _context(side: int, key: LinkKey) -> ssl.SSLContext:
    context = _bare(side)
    context.load_verify_locations(cadata=key.authority)
    # only a file can be loaded; the private key in it is encrypted with what is in no file
    handle, path = tempfile.mkstemp(prefix="only1mcp-link-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(key.certificate + key.private_key)
        context.load_cert_chain(path, password=key.password)
    finally:
        os.unlink(path)  # noqa: PTH108, as it was made
    return context
