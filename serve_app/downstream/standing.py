"""Whether a client whose connection stays open is still welcome: its credential may have expired or been revoked."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from actors.core.caller import Caller
from actors.core.principal import Principal
from actors.core.tokens.revocations import Credential, Revocations, credential_of
from serve_app.denial import Denial

UNAUTHORIZED: Final = 401
"""The status of those whose credential is worth nothing; others change nothing, and may be over by the next look."""

Check = Callable[[], Awaitable[Caller | Denial]]
"""Recognises the client once more."""

End = Callable[[], None]
"""Has a connection end; it may be called more than once, and neither raises nor opens or closes another."""


async def until_unwelcome(check: Check, seconds: float) -> Denial:
    """Look every so many seconds, and give the denial of a client that is not welcome any more."""
    while True:
        await asyncio.sleep(seconds)
        found = await check()
        if isinstance(found, Denial) and found.status == UNAUTHORIZED:
            return found


@contextmanager
def standing(check: Check | None, end: End, seconds: float) -> Iterator[None]:
    """As long as the block lasts, have `end` called when a look, every so many seconds, finds the client unwelcome."""

    async def look() -> None:
        if check is not None:
            await until_unwelcome(check, seconds)
            end()

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()


class Standings:
    """The credentials behind the connections that are open at one ingress replica: who is revoked, leaves at once."""

    def __init__(self) -> None:
        self._revocations = Revocations()
        self._open: dict[object, tuple[Credential, End]] = {}

    def __len__(self) -> int:
        """How many are open, of those who have a credential."""
        return len(self._open)

    @contextmanager
    def hold(self, principal: Principal, end: End) -> Iterator[None]:
        """As long as the block lasts, have `end` called when what the principal came with is revoked."""
        credential = credential_of(principal)
        if credential is None:
            yield
            return
        if self._revocations.covers(credential):
            end()  # it was let in just before
        key = object()
        self._open[key] = credential, end
        try:
            yield
        finally:
            del self._open[key]

    def revoke(self, revocations: Revocations) -> None:
        """Have those leave whose credential is revoked now, and from here on those who come with one that is."""
        self._revocations = revocations
        for end in [end for credential, end in self._open.values() if revocations.covers(credential)]:
            end()
