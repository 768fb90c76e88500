"""What there is, read off two books: the roster says what shall be, and the replicas what they are."""

from collections.abc import Mapping

from actors.core.catalogue import aggregate
from actors.core.link_keys import LinkKeys
from actors.core.listing import Listing
from actors.core.membership import Status
from actors.core.replica_book import ReplicaBook
from actors.core.roster import Roster
from actors.core.screening import Screened
from actors.core.server_state import ServerState
from actors.core.settings import Naming
from actors.core.tokens.revocations import Revocations
from actors.core.view import BackendView, View


class Survey:
    """One look at both; changes neither."""

    def __init__(self, roster: Roster, replicas: ReplicaBook, screened: Mapping[str, Screened] | None = None) -> None:
        """`screened` has what is offered of servers, of which not everything is."""
        self._screened = screened or {}
        self._roster = roster
        self._replicas = replicas
        self._shown = replicas.shown(roster.berths)

    def view(
        self,
        before: View,
        naming: Naming,
        revocations: Revocations | None = None,
        link_keys: LinkKeys | None = None,
        *,
        prefer_zone: bool,
        closing: bool,
    ) -> View:
        """What ingress replicas are told; the next after `before`, the rest as in `View`."""
        backends = self._roster.backends
        return View(
            generation=before.generation,
            version=before.version + 1,
            backends={name: self._backend(name) for name in backends},
            catalogue=aggregate({name: self._listing(name) for name in backends}, naming),
            leaving=tuple(status for name, left in self._shown.items() if name not in backends for status in left),
            prefer_zone=prefer_zone,
            terms=self._roster.terms,
            revocations=revocations,
            link_keys=link_keys,
            closing=closing,
        )

    def servers(self) -> tuple[ServerState, ...]:
        """Every server as its owner sees it, in alphabetical order."""
        return tuple(self._server(name) for name in self._roster.backends)

    def _backend(self, name: str) -> BackendView:
        settings, screened = self._roster.backends[name], self._screened.get(name)
        facts = self._replicas.facts.get(name) if screened is None else screened.facts
        return BackendView.of(settings, self._of(name), facts, self._listing(name))

    def _server(self, name: str) -> ServerState:
        added, replicas, screened = self._roster.added.get(name), self._of(name), self._screened.get(name)
        return ServerState(
            name=name,
            origin="file" if added is None else "added",
            wanted=self._roster.count(name),
            source=b"" if added is None else added.source,
            tools=len(self._listing(name).tools),
            replicas=replicas,
            loads=tuple(self._replicas.load(status.key) for status in replicas),
            findings=() if screened is None else screened.findings,
        )

    def _of(self, name: str) -> tuple[Status, ...]:
        return self._shown.get(name, ())

    def _listing(self, name: str) -> Listing:
        screened = self._screened.get(name)
        return self._replicas.listings.get(name, Listing()) if screened is None else screened.listing
