"""Who shares a process with whom."""

import math

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.core.membership import ReplicaKey
from actors.core.packing import PROCESSES_PER_CPU, Packing, processes_of


def keys(backends: int, replicas: int = 1) -> list[ReplicaKey]:
    return [ReplicaKey(f"b{number}", index) for number in range(backends) for index in range(replicas)]


def placed(wanted: list[ReplicaKey], density: int | None = None, cpus: float = 2) -> tuple[Packing, list[str]]:
    packing = Packing(density)
    packing.expect(wanted)
    return packing, [packing.place(key, own=False, cpus=cpus) for key in wanted]


def test_each_has_a_process_of_its_own_while_they_are_few() -> None:
    assert placed(keys(8), cpus=2)[1] == [""] * 8


def test_beyond_that_there_are_no_more_shared_processes_than_were_single_ones() -> None:
    packing, _ = placed(keys(100), cpus=2)

    assert len(packing.hosts) == 8
    assert max(len(held) for held in packing.hosts.values()) == 13


def test_those_that_come_later_share_while_the_first_stay_alone() -> None:
    packing = Packing()

    hosts = [packing.place(key, own=False, cpus=2) for key in keys(50)]

    assert hosts[:8] == [""] * 8
    assert "" not in hosts[8:]
    assert len(packing.hosts) <= 8


def test_a_cluster_whose_head_lends_no_cpu_counts_as_one() -> None:
    assert placed(keys(4), cpus=0)[1] == [""] * 4
    assert "" not in placed(keys(5), cpus=0)[1]


def test_a_configured_density_is_what_shares_one() -> None:
    assert placed(keys(50), 1)[1] == [""] * 50
    assert placed(keys(4), 3)[1] == ["Backends:1", "Backends:2"] * 2


def test_processes_that_will_be_needed_are_all_begun_before_any_is_filled() -> None:
    _, hosts = placed(keys(100), cpus=2)

    assert len(set(hosts[:8])) == 8
    assert {hosts.count(host) for host in hosts} == {12, 13}


def test_who_may_not_share_has_a_process_of_its_own() -> None:
    packing = Packing(10)

    host = packing.place(ReplicaKey("gpu", 0), own=True, cpus=1)

    assert host == ""
    assert packing.hosts == {}


def test_replicas_of_one_backend_share_one_only_when_there_is_no_room_elsewhere() -> None:
    packing, hosts = placed(keys(1, 10), 100, cpus=1)

    assert hosts[:4] == [f"Backends:{number}" for number in (1, 2, 3, 4)]
    assert {len(held) for held in packing.hosts.values()} == {2, 3}


def test_replicas_that_are_all_replaced_before_they_end_need_no_other_process() -> None:
    for density, backends, held_by_each in ((None, 40, 5), (4, 40, 4), (4, 4, 4)):
        old = keys(backends)
        packing, _ = placed(old, density, cpus=2)
        processes = list(packing.hosts)

        new = [ReplicaKey(key.backend, 1) for key in old]
        packing.expect(new)
        for key in new:
            packing.place(key, own=False, cpus=2)
        ended = [packing.leave(key) for key in old]

        assert set(ended) == {""}
        assert list(packing.hosts) == processes
        assert {len(held) for held in packing.hosts.values()} == {held_by_each}


def test_those_that_replace_single_ones_are_single_too() -> None:
    packing, _ = placed(keys(6), cpus=2)
    new = [ReplicaKey(key.backend, 1) for key in keys(6)]
    packing.expect(new)

    assert [packing.place(key, own=False, cpus=2) for key in new] == [""] * 6


def test_the_name_of_a_process_is_never_used_again() -> None:
    packing = Packing(1000)
    first = packing.place(ReplicaKey("a", 0), own=False, cpus=1)

    assert packing.leave(ReplicaKey("a", 0)) == first
    assert packing.leave(ReplicaKey("a", 0)) == ""
    assert packing.place(ReplicaKey("a", 1), own=False, cpus=1) != first


@given(st.integers(1, 400), st.floats(0, 64))
def test_whatever_their_number_processes_stay_few(count: int, cpus: float) -> None:
    packing, hosts = placed(keys(count), cpus=cpus)

    assert hosts.count("") + len(packing.hosts) <= PROCESSES_PER_CPU * max(1, math.floor(cpus))


class Moving(RuleBasedStateMachine):
    """Replicas come and go; the cluster grows and shrinks."""

    @initialize(density=st.none() | st.integers(1, 5))
    def begin(self, density: int | None) -> None:
        self.packing = Packing(density)
        self.where: dict[ReplicaKey, str] = {}
        self.own: dict[ReplicaKey, bool] = {}
        self.staying: set[ReplicaKey] = set()
        self.index = 0

    @rule(data=st.data(), coming=st.integers(0, 20))
    def order(self, data: st.DataObject, coming: int) -> None:
        """Some of those that are there are about to be replaced, and others will come."""
        stay = data.draw(st.sets(st.sampled_from(sorted(self.where)))) if self.where else set()
        self.staying = {key for key in stay if not self.own[key]} | {ReplicaKey("z", -n) for n in range(1, coming)}
        self.packing.expect(self.staying)

    @rule(backend=st.sampled_from("abcdefgh"), own=st.booleans(), cpus=st.floats(0, 3))
    def come(self, backend: str, own: bool, cpus: float) -> None:
        self.index += 1
        key = ReplicaKey(backend, self.index)
        before = {name: [each for each in held if each in self.staying] for name, held in self.packing.hosts.items()}

        host = self.where[key] = self.packing.place(key, own=own, cpus=cpus)
        self.own[key] = own
        self.staying |= set() if own else {key}
        density = self.packing.density(cpus)

        assert (host == "") == (own or density == 1)
        if host:
            apart = [
                name
                for name, held in before.items()
                if len(held) < density and backend not in {other.backend for other in held}
            ]
            beside = {other.backend for other in before.get(host, ())}
            assert backend not in beside or (not apart and len(before) >= processes_of(cpus))
            assert host not in before or len(before[host]) < density

    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        if self.where:
            key = data.draw(st.sampled_from(sorted(self.where)))
            host = self.where.pop(key)
            self.staying.discard(key)
            assert self.packing.leave(key) == ("" if host in self.where.values() else host)

    @invariant()
    def nobody_has_moved(self) -> None:
        if hasattr(self, "packing"):
            found = {key: host for host, held in self.packing.hosts.items() for key in held}
            assert found == {key: host for key, host in self.where.items() if host}


TestMoving = Moving.TestCase
