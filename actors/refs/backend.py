"""What you hold in order to talk to one Backend."""

from typing import Any, Final

import ray

from actors.core.consent import ConsentBegun
from actors.core.membership import ReplicaKey, Status
from actors.core.settings import BackendSettings
from actors.core.tokens.issued import Declined
from actors.refs.asking import CALL_LIMIT, ask

CONSENT_LIMIT: Final = 50.0
"""Seconds: servers are asked, up to four of them one after the other, each for 10 s at the most."""


class BackendRef:
    """How the command talks to one Backend. Calls do not go this way: they travel on the bus."""

    def __init__(
        self,
        key: ReplicaKey,
        handle: Any,
        settings: BackendSettings | None = None,
        slot: int = 0,
        *,
        shared: bool = False,
    ) -> None:
        """`handle` is that of the process which holds it, `shared` says whether with others.

        Without `settings` it can be talked to, and not begun.
        """
        self.key = key
        self._handle = handle
        self._settings = settings
        self._slot = slot
        self._shared = shared

    async def begin(self, limit: float) -> Status:
        """See `BackendHost.begin`; `limit` in seconds.

        Raises:
            ActorGone: its process did not start.
        """
        status: Status = await ask(self._handle.begin, self.key, self._settings, self._slot, limit=limit)
        return status

    async def trip(self) -> None:
        """See `Backend.trip`.

        Raises:
            ActorGone: it has not heard.
        """
        await ask(self._handle.trip, self.key)

    async def reset(self) -> None:
        """See `Backend.reset`.

        Raises:
            ActorGone: it has not heard.
        """
        await ask(self._handle.reset, self.key)

    async def stop(self, drain_seconds: float) -> None:
        """See `Backend.stop`.

        Raises:
            ActorGone: it is not there to be stopped.
        """
        await ask(self._handle.stop, self.key, drain_seconds, limit=drain_seconds + CALL_LIMIT)

    async def begin_consent(self, principal: str, redirect_uri: str, document_url: str = "") -> ConsentBegun | Declined:
        """See `Backend.begin_consent`.

        Raises:
            ActorGone: it does not answer.
        """
        begun: ConsentBegun | Declined = await ask(
            self._handle.begin_consent, self.key, principal, redirect_uri, document_url, limit=CONSENT_LIMIT
        )
        return begun

    async def finish_consent(self, principal: str, state: str, code: str, issuer: str) -> str:
        """See `Backend.finish_consent`.

        Raises:
            ActorGone: it does not answer; it may have finished or not.
        """
        fault: str = await ask(
            self._handle.finish_consent, self.key, principal, state, code, issuer, limit=CONSENT_LIMIT
        )
        return fault

    async def heed_consent(self, principal: str) -> None:
        """See `Backend.heed_consent`.

        Raises:
            ActorGone: it has not heard.
        """
        await ask(self._handle.heed_consent, self.key, principal)

    async def drop_consent(self, principal: str) -> str:
        """See `Backend.drop_consent`.

        Raises:
            ActorGone: it does not answer.
        """
        fault: str = await ask(self._handle.drop_consent, self.key, principal, limit=CONSENT_LIMIT)
        return fault

    async def has_consent(self, principal: str) -> bool:
        """See `Backend.has_consent`.

        Raises:
            ActorGone: it does not answer.
        """
        return bool(await ask(self._handle.has_consent, self.key, principal))

    def end(self) -> None:
        """End its process, unless it shares that: nobody wants it any more."""
        if not self._shared:
            ray.kill(self._handle, no_restart=True)
