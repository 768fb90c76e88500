"""Which users are connected to which servers: asks the Backends, and has everything that changes it audited."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from actors.core.caller import Caller
from actors.core.consent import FOR_LISTS, ConsentBegun
from actors.core.membership import ReplicaKey
from actors.core.tokens.issued import Declined
from actors.core.view import View
from actors.refs.gone import ActorGone
from serve_app.recording import Recorder

UNKNOWN: Final = "nobody has answered, so it may have been done or not"


class Consenting(Protocol):
    """One replica of a server, in this matter; `actors.refs.backend.BackendRef` is one."""

    async def begin_consent(self, principal: str, redirect_uri: str, document_url: str = "") -> ConsentBegun | Declined:
        """See `Backend.begin_consent`."""

    async def finish_consent(self, principal: str, state: str, code: str, issuer: str) -> str:
        """See `Backend.finish_consent`."""

    async def heed_consent(self, principal: str) -> None:
        """See `Backend.heed_consent`."""

    async def drop_consent(self, principal: str) -> str:
        """See `Backend.drop_consent`."""

    async def has_consent(self, principal: str) -> bool:
        """See `Backend.has_consent`."""


class Waker(Protocol):
    """Who has a server started that runs only when it is called; `actors.refs.router.RouterRef` is one."""

    def wake(self, backend: str) -> None:
        """See `RouterRef.wake`."""


class Connections:
    """Any replica of a server will do, whether or not it is up. Principals are meant by their keys."""

    def __init__(
        self,
        view: Callable[[], View],
        find_backend: Callable[[ReplicaKey], Awaitable[Consenting]],
        find_router: Callable[[], Waker],
        recorder: Recorder,
    ) -> None:
        """`view` gives the last View."""
        self._view = view
        self._find_backend = find_backend
        self._find_router = find_router
        self._recorder = recorder

    @property
    def refusing(self) -> bool:
        """Whether nothing is to be done now, since it could not be audited."""
        return self._recorder.refusing

    @property
    def servers(self) -> tuple[str, ...]:
        """Those that want each user's own leave, by name."""
        return tuple(name for name, backend in self._view().backends.items() if backend.personal)

    async def begin(
        self, caller: Caller, principal: str, backend: str, redirect_uri: str, document_url: str = ""
    ) -> ConsentBegun | Declined:
        """Where a browser has to go, so that the server's authorization server asks the user.

        `document_url` is as for `Backend.begin_consent`.

        Raises:
            ActorGone: there is nobody to ask at the moment.
        """
        begun = await (await self._desk(backend)).begin_consent(principal, redirect_uri, document_url)
        self._note(caller, "begin", principal, backend, begun.reason if isinstance(begun, Declined) else "")
        return begun

    async def finish(self, caller: Caller, principal: str, backend: str, state: str, code: str, issuer: str) -> str:
        """Keep what the user has given; why it is not, or an empty text.

        The other replicas are told, so that none waits; one that does not hear it looks for itself.

        Raises:
            ActorGone: nobody knows what came of it.
        """
        desk = await self._desk(backend)
        try:
            reason = await desk.finish_consent(principal, state, code, issuer)
        except ActorGone:
            self._note(caller, "finish", principal, backend, UNKNOWN)
            raise
        self._note(caller, "finish", principal, backend, reason)
        found = None if reason else self._view().backends.get(backend)
        for replica in () if found is None else found.replicas:
            with suppress(ActorGone):
                await (await self._find_backend(replica.key)).heed_consent(principal)
        return reason

    def refused(self, caller: Caller, principal: str, backend: str, reason: str) -> None:
        """Note that the user, or the authorization server, said no."""
        self._note(caller, "finish", principal, backend, reason)

    async def drop(self, caller: Caller, principal: str, backend: str) -> str:
        """Forget what a user has given; why that could not be, or an empty text.

        Every replica is told, so that none goes on; one that does not hear it looks for itself soon.

        Raises:
            ActorGone: none of them has heard.
        """
        said = []
        for key in self._replicas(backend):
            with suppress(ActorGone):
                said.append(await (await self._find_backend(key)).drop_consent(principal))
        reason = UNKNOWN if not said else next((each for each in said if each), "")
        self._note(caller, "drop", principal, backend, reason)
        if not said:
            raise ActorGone(backend)
        return reason

    async def has(self, principal: str, backend: str) -> bool:
        """Whether a user has given it.

        Raises:
            ActorGone: there is nobody to ask at the moment.
        """
        return await (await self._desk(backend)).has_consent(principal)

    async def _desk(self, backend: str) -> Consenting:
        for key in self._replicas(backend):
            with suppress(ActorGone):
                return await self._find_backend(key)
        raise ActorGone(backend)

    def _replicas(self, backend: str) -> list[ReplicaKey]:
        found = self._view().backends.get(backend)
        keys = [] if found is None else [replica.key for replica in found.replicas]
        if found is not None and not keys:
            with suppress(ActorGone):
                self._find_router().wake(backend)  # somebody comes again when it is there
            raise ActorGone(backend)
        return keys

    def _note(self, caller: Caller, what: str, principal: str, backend: str, reason: str) -> None:
        detail = reason or ("for its lists" if principal == FOR_LISTS else "")
        self._recorder.connected(caller, what, backend, detail, success=not reason)
