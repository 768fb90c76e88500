"""Which replicas share a process: a Ray process costs 57 MB and over a second, a replica in it a fraction of that."""

import math
from collections.abc import Collection
from typing import Final

from actors.core.membership import ReplicaKey

PROCESSES_PER_CPU: Final = 4
"""Up to so many for each CPU of the cluster, every replica has a process of its own."""

SHARED: Final = "Backends"
"""What the names of processes begin with that hold several."""


class Packing:
    """Owns who shares a process with whom. Who has a place never moves.

    `density` is how many may share one, if that is configured. `cpus` is how many the cluster has, which may change.
    """

    def __init__(self, density: int | None = None) -> None:
        self._density = density
        self._staying: set[ReplicaKey] = set()
        self._alone: set[ReplicaKey] = set()
        self._hosts: dict[str, list[ReplicaKey]] = {}
        self._started = 0

    @property
    def hosts(self) -> dict[str, tuple[ReplicaKey, ...]]:
        """The shared processes, oldest first, and whom each holds."""
        return {name: tuple(keys) for name, keys in self._hosts.items()}

    def expect(self, staying: Collection[ReplicaKey]) -> None:
        """These will have places when all have come and gone that shall, without those that may not share.

        Whoever else has a place now is about to be replaced, and counts no more: who comes may be put beside it, so
        that no process is started to be ended again. For as long there are more in a process than `density`.
        """
        self._staying = set(staying)

    def density(self, cpus: float) -> int:
        """How many may share a process."""
        return self._density or math.ceil(max(len(self._staying), 1) / processes_of(cpus))

    def place(self, key: ReplicaKey, *, own: bool, cpus: float) -> str:
        """The name of the shared process for a new replica, perhaps a new one; empty for a process of its own.

        `own` says that it may not share one. Two replicas of one backend do only where there is no room elsewhere, nor
        for another process. The first go to new processes, so that these start at the same time.
        """
        if own:
            return ""
        self._staying.add(key)
        density = self.density(cpus)
        if density <= 1:
            self._alone.add(key)
            return ""
        roomy = [name for name in self._hosts if self._held(name) < density]
        apart = [name for name in roomy if not self._siblings(name, key)]
        few = len(self._hosts) + len(self._alone & self._staying) < math.ceil(len(self._staying) / density)
        if apart and not few:
            host = min(apart, key=self._held)
        elif roomy and not few and len(self._hosts) >= processes_of(cpus):
            host = min(roomy, key=lambda name: self._siblings(name, key))
        else:
            self._started += 1
            host = f"{SHARED}:{self._started}"  # never a name again, whose process may not have ended yet
        self._hosts.setdefault(host, []).append(key)
        return host

    def leave(self, key: ReplicaKey) -> str:
        """Give up the place of a replica that has ended; the name of the process that holds none now, if one does."""
        self._alone.discard(key)
        self._staying.discard(key)
        for name, keys in self._hosts.items():
            if key in keys:
                keys.remove(key)
                if not keys:
                    del self._hosts[name]
                    return name
                break
        return ""

    def _held(self, host: str) -> int:
        return sum(key in self._staying for key in self._hosts[host])

    def _siblings(self, host: str, key: ReplicaKey) -> int:
        return sum(other.backend == key.backend and other in self._staying for other in self._hosts[host])


def processes_of(cpus: float) -> int:
    """How many processes a cluster of so many CPUs has before replicas share them."""
    return max(1, math.floor(cpus)) * PROCESSES_PER_CPU
