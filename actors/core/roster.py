"""Which replicas there shall be: a berth for each, and what a new configuration does to them.

The Router keeps one and decides by it; the command that started the gateway reads it as orders, and carries them out.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from actors.core.hidden_text import HiddenText
from actors.core.membership import ReplicaKey
from actors.core.screening import Pin
from actors.core.settings import BackendSettings
from actors.core.terms import Terms
from actors.core.traffic_settings import BalancerSettings, EjectionSettings, RetrySettings, Stickiness


class Berth(msgspec.Struct, frozen=True):
    """A place for one replica."""

    key: ReplicaKey
    settings: BackendSettings
    slot: int = 0
    """Which server of a pool of URLs it speaks to."""
    retiring: bool = False
    """Its replica takes no new calls, and ends when those that run are over."""
    host: str = ""
    """The actor that houses it among others; empty for one with a process of its own."""

    @property
    def essence(self) -> tuple[BackendSettings, float]:
        """What its replica was made from: berths of equal essence have replicas that do the same.

        Settings of which only the ingress and the Router know are the same in all.
        """
        settings, weight = self.settings.of_slot(self.slot)
        alike = replace(
            settings,
            balancer=BalancerSettings(),
            ejection=EjectionSettings(),
            retry=RetrySettings(),
            sticky=Stickiness.AUTO,
            replicas=1,
            urls=(),
            pin=Pin.OFF,
            hidden_characters=HiddenText.FLAG,
        )
        return alike, weight


class Added(msgspec.Struct, frozen=True):
    """A server added while the gateway ran."""

    settings: BackendSettings
    source: bytes
    """The JSON of its entry, as it was given: variables are not expanded."""


class Changes(msgspec.Struct, frozen=True):
    """What a configuration changed, by names of backends."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


class Orders(msgspec.Struct, frozen=True):
    """All of a roster at one moment: enough to make another one that goes on from there."""

    generation: str
    """Of the Router whose orders these are."""
    version: int
    configured: tuple[BackendSettings, ...] = ()
    """The backends of the file."""
    added: tuple[Added, ...] = ()
    berths: tuple[Berth, ...] = ()
    counts: Mapping[str, int] = {}
    next_index: Mapping[str, int] = {}
    """A number is never used twice, so that no actor is taken for one that has not ended yet."""
    reload_asked: int = 0
    """How often somebody asked for the file to be read again."""
    terms: Terms = Terms()
    known: bool = True
    """False for a Router that has just started and knows nothing yet: whoever has its last orders tells it."""

    @property
    def backends(self) -> Mapping[str, BackendSettings]:
        """The backends there shall be, in alphabetical order; of two with one name that of the file counts."""
        return _merged(self.configured, self.added)

    @property
    def staying(self) -> tuple[Berth, ...]:
        """The berths that neither retire nor are about to be replaced."""
        wanted = self.backends
        return tuple(
            berth for berth in self.berths if not berth.retiring and wanted.get(berth.key.backend) == berth.settings
        )


class Roster:
    """Owns the berths. Every change that matters to others makes `version` greater."""

    def __init__(self, orders: Orders | None = None) -> None:
        """Goes on from `orders`, or from nothing."""
        given = orders or Orders("", 0)
        self._configured = given.configured
        self._added = {each.settings.name: each for each in given.added}
        self._berths = {berth.key: berth for berth in given.berths}
        self._counts = dict(given.counts)
        self._next_index = dict(given.next_index)
        self._reload_asked = given.reload_asked
        self.terms = given.terms
        """What the file says of callers."""
        self.version = given.version + 1

    @property
    def backends(self) -> Mapping[str, BackendSettings]:
        """The backends there shall be, in alphabetical order; of two with one name that of the file counts."""
        return _merged(self._configured, self._added.values())

    @property
    def berths(self) -> Mapping[ReplicaKey, Berth]:
        """All of them, those that retire, too."""
        return self._berths

    @property
    def added(self) -> Mapping[str, Added]:
        """The servers added while the gateway ran, by name."""
        return self._added

    def count(self, backend: str) -> int:
        """How many replicas of it there shall be now."""
        return self._counts.get(backend, 0)

    def orders(self, generation: str) -> Orders:
        """All of this, as a value."""
        return Orders(
            generation,
            self.version,
            tuple(self._configured),
            tuple(self._added.values()),
            tuple(self._berths.values()),
            dict(self._counts),
            dict(self._next_index),
            self._reload_asked,
            self.terms,
        )

    def configure(self, backends: Sequence[BackendSettings], terms: Terms | None = None) -> Changes:
        """Take these for what the file says; see `_follow`. What was added by hand is no part of the changes."""
        before = self.backends
        if terms is not None and terms != self.terms:
            self.terms = terms
            self.version += 1
        self._configured = tuple(backends)
        changes, names = self._follow(before), {each.name for each in backends}
        return msgspec.structs.replace(changes, unchanged=tuple(name for name in changes.unchanged if name in names))

    def add(self, added: Added) -> Changes:
        """Add a server, or put another in the place of one that was added under its name."""
        before = self.backends
        self._added = {**self._added, added.settings.name: added}
        return self._follow(before)

    def remove(self, name: str) -> Changes:
        """Remove a server that was added."""
        before = self.backends
        self._added = {key: each for key, each in self._added.items() if key != name}
        return self._follow(before)

    def scale(self, name: str, count: int) -> None:
        """Let there be so many replicas of a backend."""
        if name in self.backends and count != self.count(name):
            self._counts[name] = count
            self._fill(name)
            self.version += 1

    def settle(self, up: Collection[ReplicaKey]) -> None:
        """Retire a replica that is out of date for each new one that is up: never fewer serve than shall."""
        for name, settings in self.backends.items():
            current, outdated = self._divided(settings)
            spare = len(outdated) - max(0, self.count(name) - sum(berth.key in up for berth in current))
            for berth in sorted(outdated, key=lambda each: each.key in up)[: max(spare, 0)]:
                self._retire(berth)

    def house(self, key: ReplicaKey, host: str) -> bool:
        """Note which actor houses a replica among others; false if there is no such berth."""
        berth = self._berths.get(key)
        if berth is not None and berth.host != host:
            self._berths[key] = msgspec.structs.replace(berth, host=host)
            self.version += 1
        return berth is not None

    def clear(self, key: ReplicaKey) -> None:
        """A replica that retired has ended."""
        berth = self._berths.get(key)
        if berth is not None and berth.retiring:
            del self._berths[key]
            self.version += 1

    def ask_reload(self) -> int:
        """Ask whoever reads the file to read it again; gives how often that was asked."""
        self._reload_asked += 1
        self.version += 1
        return self._reload_asked

    def _follow(self, before: Mapping[str, BackendSettings]) -> Changes:
        """Do what became of the backends; those that are as before are not touched.

        A removed one retires. A changed one gets new replicas, and the old ones stay until those are up. What only the
        ingress needs to know changes nothing here.
        """
        after = self.backends
        changes = Changes(
            added=tuple(name for name in after if name not in before),
            removed=tuple(name for name in before if name not in after),
            changed=tuple(name for name in after if name in before and after[name] != before[name]),
            unchanged=tuple(name for name in after if after[name] == before.get(name)),
        )
        for name in changes.removed:
            self._counts.pop(name, None)
            for berth in self._of(name):
                self._retire(berth)
        for name in (*changes.added, *changes.changed):
            scale = after[name].scale
            # even what may end when idle is started once: its lists are not known otherwise
            self._counts[name] = min(max(self._counts.get(name, 0), scale.min, 1), scale.max)
            self._renew(after[name])
            self._fill(name)
        if changes.added or changes.removed or changes.changed:
            self.version += 1
        return changes

    def _renew(self, settings: BackendSettings) -> None:
        """Let berths keep their replica that would get the same one from new settings."""
        slots = range(max(len(settings.urls), 1))
        for berth in self._of(settings.name):
            renewed = (msgspec.structs.replace(berth, settings=settings, slot=slot) for slot in slots)
            same = next((each for each in renewed if each.essence == berth.essence), None)
            if same is not None:
                self._berths[berth.key] = same

    def _fill(self, name: str) -> None:
        """Have as many berths with the wanted settings as there shall be."""
        settings = self.backends[name]
        current, _ = self._divided(settings)
        for berth in current[self.count(name) :]:
            self._retire(berth)
        for _ in range(self.count(name) - len(current)):
            index = self._next_index.get(name, 0)
            self._next_index[name] = index + 1
            taken = [berth.slot for berth in self._divided(settings)[0]]
            slots = range(max(len(settings.urls), 1))
            slot = min(slots, key=lambda each: (taken.count(each), each))
            key = ReplicaKey(name, index)
            self._berths[key] = Berth(key, settings, slot)

    def _divided(self, settings: BackendSettings) -> tuple[list[Berth], list[Berth]]:
        """Those of a backend with the wanted settings and those without, that do not retire, oldest first."""
        berths = self._of(settings.name)
        return (
            [berth for berth in berths if berth.settings == settings],
            [berth for berth in berths if berth.settings != settings],
        )

    def _of(self, name: str) -> list[Berth]:
        return [berth for berth in self._berths.values() if berth.key.backend == name and not berth.retiring]

    def _retire(self, berth: Berth) -> None:
        self._berths[berth.key] = msgspec.structs.replace(berth, retiring=True)
        self.version += 1


def _merged(configured: Iterable[BackendSettings], added: Iterable[Added]) -> Mapping[str, BackendSettings]:
    wanted = {each.settings.name: each.settings for each in added}
    wanted |= {each.name: each for each in configured}
    return dict(sorted(wanted.items()))
