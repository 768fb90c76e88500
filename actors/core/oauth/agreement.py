"""What is kept of a user's consent: the tokens, whom they are for, and what they may do."""

from typing import Final

import msgspec

from actors.core.oauth.client import Client
from actors.core.oauth.token_answer import AccessToken

MAX_SCOPES: Final = 100
"""That are asked for, however many a server names one after the other."""


class Agreement(msgspec.Struct, frozen=True):
    """Of one user at one server, in the words of one authorization server."""

    access: str
    refresh: str
    """Empty if there is nothing to get another token with."""
    expires_at: float
    """Unix seconds."""
    seconds: float
    """For how many it was good."""
    resource: str
    """Whom the tokens are for (RFC 8707)."""
    client: Client
    asked: tuple[str, ...] = ()
    """The scopes that the user was asked for the last time."""
    wanted: tuple[str, ...] = ()
    """Those that the server has said since then that it needs more."""

    def __repr__(self) -> str:
        """Without the tokens."""
        return f"Agreement(resource={self.resource!r}, expires_at={self.expires_at!r})"

    @property
    def suffices(self) -> bool:
        """Whether the user was asked for all that the server is known to need."""
        return set(self.wanted) <= {*self.asked}

    def renewed(self, token: AccessToken, now: float) -> "Agreement":
        """With another token. One that comes without a new refresh token leaves the old one good (RFC 6749, 6)."""
        return msgspec.structs.replace(
            self,
            access=token.text,
            refresh=token.refresh or self.refresh,
            expires_at=now + token.seconds,
            seconds=token.seconds,
        )

    def wanting(self, scopes: tuple[str, ...]) -> "Agreement":
        """With more scopes that the server needs."""
        return msgspec.structs.replace(self, wanted=union(self.wanted, scopes))


_decoder: Final = msgspec.msgpack.Decoder(Agreement)


def agreed(token: AccessToken, now: float, *, resource: str, client: Client, asked: tuple[str, ...]) -> Agreement:
    """What a user has just agreed to; `now` is in Unix seconds."""
    return Agreement(token.text, token.refresh, now + token.seconds, token.seconds, resource, client, asked)


def read_agreement(value: bytes | None) -> Agreement | None:
    """What was kept; nothing if there is none, or none of a form we know."""
    if value is None:
        return None
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return None


def union(*scopes: tuple[str, ...]) -> tuple[str, ...]:
    """All of them, each once, in order; at most `MAX_SCOPES`."""
    return tuple(dict.fromkeys(each for some in scopes for each in some))[:MAX_SCOPES]
