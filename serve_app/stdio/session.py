"""What belongs to one legacy session: its name, what the server asked in it, what the client wished for in it."""

from dataclasses import dataclass
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.headers import REVISION_HEADER
from actors.core.jsonrpc import Message
from actors.transports.http_session import MAX_SESSION_ID, SESSION_HEADER
from serve_app.stdio.incoming import Asked, id_key

MAX_QUESTIONS: Final = 1024
"""Requests of the server that are remembered; a client that leaves more unanswered answers none."""
MAX_SUBSCRIPTIONS: Final = 1024
"""Subscriptions that are taken into a new session; the rest would be lost with the old one."""


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One handshake that succeeded. Two are never equal: the gateway may have no ids."""

    id: str | None
    """What the gateway calls it; nothing if it keeps no sessions."""
    revision: str

    @property
    def headers(self) -> dict[str, str]:
        """What names it in every request that follows the handshake."""
        named = {} if self.id is None else {SESSION_HEADER: self.id}
        return {REVISION_HEADER: self.revision, **named}


def opened(offered: str | None, response: Message) -> Session | None:
    """The session that the response to `initialize` opens, with the id in its headers; nothing if it opens none."""
    try:
        revision = jsonrpc.text(jsonrpc.decode_object(response.result).get("protocolVersion"))
    except msgspec.DecodeError:
        return None
    if revision is None or not _visible(revision):
        return None
    usable = offered is not None and len(offered) <= MAX_SESSION_ID and _visible(offered)
    return Session(offered if usable else None, revision)


class Questions:
    """In which session the server asked what the client has not answered yet."""

    def __init__(self) -> None:
        self._asked: dict[str | int, Session] = {}

    def note(self, request_id: bytes, session: Session) -> None:
        """The server asked."""
        key = id_key(request_id)
        if key is not None and len(self._asked) < MAX_QUESTIONS:
            self._asked[key] = session

    def take(self, request_id: bytes) -> Session | None:
        """The client answers; nothing if it was not asked, as far as we know."""
        key = id_key(request_id)
        return None if key is None else self._asked.pop(key, None)


class Wishes:
    """Requests whose effect lasts as long as the session, to be made again in the next one."""

    def __init__(self) -> None:
        self._level: Asked | None = None
        self._subscriptions: dict[str, Asked] = {}

    def note(self, asked: Asked) -> None:
        """A request succeeded."""
        uri = jsonrpc.text(asked.params.get("uri"))
        if asked.method == "logging/setLevel":
            self._level = asked
        elif asked.method == "resources/subscribe" and uri is not None:
            if len(self._subscriptions) < MAX_SUBSCRIPTIONS:
                self._subscriptions[uri] = asked
        elif asked.method == "resources/unsubscribe" and uri is not None:
            self._subscriptions.pop(uri, None)

    def all(self) -> list[Asked]:
        """The requests that bring a new session to where the old one was."""
        return [*([] if self._level is None else [self._level]), *self._subscriptions.values()]


def _visible(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)
