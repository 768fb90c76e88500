"""What an authorization server carries for us while a user is there: sealed, so that any replica can go on."""

from typing import Final

import msgspec

from actors.credentials.keeper import Keeper

STATE_SECONDS: Final = 600.0
"""Enough to log in there; a state is used once."""

MAX_STATE_CHARS: Final = 2048
"""It travels in URLs."""


class ConsentState(msgspec.Struct, frozen=True, array_like=True):
    """What was begun."""

    verifier: str
    """The proof key, which nobody but us can read here."""
    redirect_uri: str
    issuer: str
    names_issuer: bool
    """Whether its answers promise to say whose they are."""
    resource: str
    client_id: str
    scopes: tuple[str, ...]
    expires_at: float
    """Unix seconds."""

    def __repr__(self) -> str:
        """Without the proof key."""
        return f"ConsentState(issuer={self.issuer!r})"


_decoder: Final = msgspec.msgpack.Decoder(ConsentState)


class ConsentStates:
    """Of one backend. A text is bound to it and to a principal: for another of either it opens no better than noise.

    It is the Vault that seals: no other process of a backend needs to know the gateway's secret.
    """

    def __init__(self, keeper: Keeper, backend: str) -> None:
        self._keeper = keeper
        self._backend = backend

    async def close(self, principal: str, state: ConsentState) -> str | None:
        """The text; nothing if it would be too long.

        Raises:
            CredentialError: nobody is there to seal it.
        """
        text = await self._keeper.seal(principal, self._backend, msgspec.msgpack.encode(state))
        return text if len(text) <= MAX_STATE_CHARS else None

    async def open(self, principal: str, text: str) -> tuple[ConsentState, str] | None:
        """What a text says, also if its time is over, and a name that no other text has; nothing if it is not ours.

        Raises:
            CredentialError: nobody is there to open it.
        """
        if len(text) > MAX_STATE_CHARS:
            return None
        opened = await self._keeper.unseal(principal, self._backend, text)
        return None if opened is None else (_decoder.decode(opened[0]), opened[1])
