"""What the handshake adds to HTTP: a session and a revision, named in the headers of everything that follows it."""

from collections.abc import Mapping, MutableMapping
from typing import Final

import aiohttp
from multidict import CIMultiDict

from actors.core.jsonrpc import decode_message
from actors.transports.http_answer import EVENT_STREAM, JSON

SESSION_HEADER: Final = "Mcp-Session-Id"
REVISION_HEADER: Final = "MCP-Protocol-Version"

MAX_SESSION_ID: Final = 1024
"""Characters; a longer id would not fit well into a header."""


class HttpSession:
    """The upstream session of one transport: nothing, until the handshake is done.

    A lost session is still named, so that the server refuses what is sent before there is a new one, and it may be
    sent again; only `initialize` goes without (2025-11-25, basic/transports, Session Management).
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        """`headers` are those that every request has."""
        self._headers = CIMultiDict(headers)
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

    @property
    def id(self) -> str | None:
        """The session that requests name."""
        return self._id

    def post_headers(self, body: bytes, more: Mapping[str, str]) -> tuple[CIMultiDict[str], str | None]:
        """The headers of a POST with this body, `more` among them; and the session that it names."""
        headers = self._headers.copy()
        session_id = self._mark(headers, body)
        headers["Content-Type"] = JSON
        headers["Accept"] = f"{JSON}, {EVENT_STREAM}"
        headers.update(more)
        return headers, session_id

    def stream_headers(self, last_event_id: str) -> CIMultiDict[str]:
        """The headers of a GET for a stream, which goes on after an event, or begins."""
        headers = self._headers.copy()
        self._mark(headers)
        headers["Accept"] = EVENT_STREAM
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        return headers

    def end_headers(self) -> CIMultiDict[str] | None:
        """The headers of the DELETE that ends the session; nothing if there is none to end."""
        headers = self._headers.copy()
        return None if self._mark(headers) is None or self.lost else headers

    def note(self, response: aiohttp.ClientResponse) -> None:
        """Keep the session offered in the answer to a request that named none."""
        offered = response.headers.get(SESSION_HEADER)
        if offered and response.status < 300 and len(offered) <= MAX_SESSION_ID and _visible(offered):
            self._offered = offered

    def _mark(self, headers: MutableMapping[str, str], body: bytes = b"{}") -> str | None:
        """Name the session, and give it."""
        if self.lost and decode_message(body).method == "initialize":
            return None
        if self.revision is not None:
            headers[REVISION_HEADER] = self.revision
        if self._id is not None:
            headers[SESSION_HEADER] = self._id
        return self._id


def _visible(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)
