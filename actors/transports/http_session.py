"""What the handshake adds to HTTP: a session and a revision, named in the headers of everything that follows it."""

from collections.abc import MutableMapping
from typing import Final

import aiohttp

from actors.core.jsonrpc import decode_message

SESSION_HEADER: Final = "Mcp-Session-Id"
REVISION_HEADER: Final = "MCP-Protocol-Version"

MAX_SESSION_ID: Final = 1024
"""Characters; a longer id would not fit well into a header."""


class HttpSession:
    """The upstream session of one transport: nothing, until the handshake is done.

    A lost session is still named, so that the server refuses what is sent before there is a new one, and it may be
    sent again; only `initialize` goes without (2025-11-25, basic/transports, Session Management).
    """

    def __init__(self) -> None:
        self.revision: str | None = None
        """The negotiated revision."""
        self.lost = False
        """Whether the server has said that it does not know the session any more."""
        self._id: str | None = None
        self._offered: str | None = None

    def establish(self, revision: str) -> None:
        """Name the session that the server offered, if it did, and the revision from now on."""
        self._id, self._offered = self._offered, None
        self.revision = revision
        self.lost = False

    def lose(self, session_id: str) -> bool:
        """Take note that the server does not know a session; whether that is news."""
        news = session_id == self._id and not self.lost
        self.lost = self.lost or news
        return news

    def mark(self, headers: MutableMapping[str, str], body: bytes = b"{}") -> str | None:
        """Add the headers to those of a request; returns the session it names."""
        if self.lost and decode_message(body).method == "initialize":
            return None
        if self.revision is not None:
            headers[REVISION_HEADER] = self.revision
        if self._id is not None:
            headers[SESSION_HEADER] = self._id
        return self._id

    def note(self, response: aiohttp.ClientResponse) -> None:
        """Keep the session offered in the answer to a request that named none."""
        offered = response.headers.get(SESSION_HEADER)
        if offered and response.status < 300 and len(offered) <= MAX_SESSION_ID and _visible(offered):
            self._offered = offered


def _visible(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)
