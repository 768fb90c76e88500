"""The Router's desk for servers: takes changes of them, and knows what each has, had before, and offers."""

from collections.abc import Sequence

from actors.core.membership import ReplicaState, Status
from actors.core.replica_book import ReplicaBook
from actors.core.roster import Added, Changes, Roster
from actors.core.screening import Screened
from actors.core.settings import BackendSettings
from actors.core.survey import Survey
from actors.core.tally import BackendFacts
from actors.core.terms import Terms
from actors.definition_desk import DefinitionDesk
from actors.diary import Diary
from actors.memory import Memory
from actors.roster_desk import RosterDesk


class ServerDesk:
    """Belongs to the Router, and so do the roster and the replicas that it looks at."""

    def __init__(self, desk: RosterDesk, replicas: ReplicaBook, memory: Memory, diary: Diary) -> None:
        """`memory` and `diary` are as for `Router`."""
        self._desk = desk
        self._replicas = replicas
        self._memory = memory
        self._definitions = DefinitionDesk(memory, diary)

    def configure(self, backends: Sequence[BackendSettings], terms: Terms | None = None) -> Changes:
        """See `Roster.configure`."""
        changes = self._desk.configure(backends, terms)
        self._memory.forget(changes.removed)
        self._definitions.forget(frozenset(changes.removed))
        self.retire_outdated()
        return changes

    def add(self, name: str, settings: BackendSettings, source: bytes) -> str:
        """Add a server, or change one that was added; says why not, or nothing."""
        if name in self._roster.backends and name not in self._roster.added:
            return f"the configuration file has a server {name!r}: change it there"
        self._desk.add(Added(settings, source))
        self._memory.put_server(name, source)
        self.retire_outdated()
        return ""

    def remove(self, name: str) -> str:
        """Remove a server that was added; says why not, or nothing."""
        if name not in self._roster.added:
            known = name in self._roster.backends
            return f"the server {name!r} is in the configuration file: remove it there" if known else "no such server"
        self._memory.remove_server(name)
        self._memory.forget(self._desk.remove(name).removed)
        return ""

    def accept(self, name: str) -> str:
        """Agree to what the tools of a server are now, see `Pin`; says why not, or nothing."""
        settings, listing = self._roster.backends.get(name), self._replicas.listings.get(name)
        if settings is None or listing is None:
            return "no such server" if settings is None else f"the server {name!r} has not said yet what it has"
        return self._definitions.accept(settings, listing)

    def learn(self, status: Status) -> None:
        """A replica has said something new. What a server lists is kept for the next run, and what of it is seen first
        is agreed to."""
        berth = self._roster.berths.get(status.key)
        if status.state is ReplicaState.UP and status.listing is not None and berth is not None:
            facts = self._replicas.facts.get(status.key.backend)
            self._memory.keep(berth.settings, status.listing, facts)
            wanted = self._roster.backends.get(status.key.backend, berth.settings)
            self._definitions.screen(wanted, status.listing, facts)
        self.retire_outdated()

    def recall(self) -> bool:
        """Take lists of the run before for those of backends that told none yet; whether there were any."""
        recalled = False
        for name, settings in self._roster.backends.items():
            known = self._memory.recall(settings)
            if known is not None and name not in self._replicas.listings:
                self._replicas.listings[name] = known.listing
                if known.facts is not None:
                    self._replicas.facts.setdefault(name, known.facts)
                recalled = True
        return recalled

    def retire_outdated(self) -> None:
        """See `Roster.settle`."""
        self._desk.settle(self._replicas.up)

    def survey(self) -> Survey:
        """All of them as they are now."""
        return Survey(self._roster, self._replicas, self._screened())

    def facts(self) -> list[BackendFacts]:
        """What Metrics is told of each."""
        screened = self._screened()
        return [facts.of_screened(screened.get(facts.backend)) for facts in self._replicas.backend_facts()]

    @property
    def _roster(self) -> Roster:
        return self._desk.roster

    def _screened(self) -> dict[str, Screened]:
        """What of each server is offered that has said what it has."""
        return {
            name: self._definitions.screen(settings, listing, self._replicas.facts.get(name))
            for name, settings in self._roster.backends.items()
            if (listing := self._replicas.listings.get(name)) is not None
        }
