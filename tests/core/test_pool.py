from collections import Counter
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.core.balancing.candidate import Candidate
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.pool import Pool
from actors.core.revisions import Era
from actors.core.traffic_settings import BalancerSettings, Balancing, EjectionSettings
from actors.core.view import BackendView

REPLY = Reply(b"{}", Era.MODERN)
LOST = Failure(FailureKind.DISCONNECTED, "git")
EJECTION = EjectionSettings(failures=3, seconds=10.0)


def replica(index, zone="", **changed):
    status = Status(ReplicaKey("git", index), "1", 1, "here", "unix:/a", None, ReplicaState.UP, zone=zone)
    return msgspec.structs.replace(status, **changed)


def backend(*replicas, kind=Balancing.LEAST, ejection=EJECTION):
    return BackendView("git", 1.0, replicas=replicas, balancer=BalancerSettings(kind=kind), ejection=ejection)


def pool_of(*replicas, kind=Balancing.LEAST, zone="", seed=1):
    pool = Pool(Random(seed).random)
    pool.update(backend(*replicas, kind=kind), zone, 0.0)
    return pool


def standing(*indices, load=0.0):
    return [Candidate(index, load, 1.0, f"git:{index}") for index in indices]


def chosen(pool, candidates, *, refusing=(), affinity=None, now=0.0, times=40):
    return {pool.choose(candidates, refusing, affinity, now) for _ in range(times)}


def fail(pool, index, now=0.0, times=3):
    return [pool.note(f"git:{index}", LOST, 0.1, now) for _ in range(times)]


def test_an_ejected_replica_is_left_out_until_its_time_is_over():
    pool = pool_of(replica(0), replica(1))

    assert fail(pool, 0) == [None, None, 10.0]

    assert chosen(pool, standing(0, 1), now=9.0) == {1}
    assert chosen(pool, standing(0, 1), now=10.0) == {0, 1}


def test_calls_of_one_affinity_leave_an_ejected_replica_and_come_back_to_it():
    pool = pool_of(replica(0), replica(1), replica(2))
    (home,) = chosen(pool, standing(0, 1, 2), affinity=b"session")

    fail(pool, home)
    (away,) = chosen(pool, standing(0, 1, 2), affinity=b"session", now=9.0)
    (back,) = chosen(pool, standing(0, 1, 2), affinity=b"session", now=10.0)

    assert away != home == back


@pytest.mark.parametrize(
    "change", [{"epoch": "2"}, {"restarts": 1}, {"state": ReplicaState.DOWN}], ids=["epoch", "restarts", "state"]
)
def test_another_life_of_a_replica_has_a_clean_slate_and_calls_to_the_one_before_leave_it_so(change):
    pool = pool_of(replica(0), replica(1))
    fail(pool, 0)

    pool.update(backend(replica(0, **change), replica(1)), "", 5.0)
    late = [pool.note("git:0", LOST, 1.0, 5.5) for _ in range(5)]

    assert chosen(pool, standing(0, 1), now=5.5) == {0, 1}
    assert late == [None] * 5
    assert fail(pool, 0, now=6.0) == [None, None, 10.0]


def test_a_view_in_which_nothing_of_a_replica_changed_changes_nothing():
    pool = pool_of(replica(0), replica(1), kind=Balancing.ROUND_ROBIN)
    fail(pool, 0, times=2)

    first = pool.choose(standing(0, 1), (), None, 0.0)
    pool.update(backend(replica(0), replica(1), kind=Balancing.ROUND_ROBIN), "", 1.0)
    second = pool.choose(standing(0, 1), (), None, 1.0)

    assert {first, second} == {0, 1}
    assert fail(pool, 0, now=1.5, times=1) == [10.0]


def test_what_calls_to_replicas_that_are_gone_came_to_is_not_kept():
    pool = pool_of(replica(0), replica(1), kind=Balancing.PEAK_EWMA)
    pool.update(backend(replica(1), kind=Balancing.PEAK_EWMA), "", 1.0)

    assert fail(pool, 0, now=2.0) == [None] * 3
    assert not pool._ejections._records
    assert not pool._latencies._averages


def test_new_settings_count_at_once():
    pool = pool_of(replica(0), replica(1))
    fail(pool, 0)

    pool.update(backend(replica(0), replica(1), ejection=EjectionSettings(failures=1)), "", 1.0)
    forgiven = chosen(pool, standing(0, 1), now=1.0)
    fail(pool, 1, now=1.2, times=1)
    pool.update(
        backend(replica(0), replica(1), kind=Balancing.ROUND_ROBIN, ejection=EjectionSettings(failures=1)), "", 2.0
    )

    assert forgiven == {0, 1}
    assert chosen(pool, standing(0, 1), now=2.0) == {0}


def test_replicas_in_the_own_zone_come_first_as_long_as_one_takes_calls():
    pool = pool_of(replica(0, "north"), replica(1, "north"), replica(2, "south"), zone="north")

    assert chosen(pool, standing(0, 1, 2)) == {0, 1}
    assert chosen(pool, standing(0, 1, 2), refusing=["git:0"]) == {1}
    assert chosen(pool, standing(2)) == {2}
    fail(pool, 1)
    assert chosen(pool, standing(0, 1, 2), refusing=["git:0"]) == {2}


def test_without_a_zone_of_ones_own_nobody_is_near():
    pool = pool_of(replica(0, "north"), replica(1, "south"), replica(2), zone="")

    assert chosen(pool, standing(0, 1, 2)) == {0, 1, 2}


def test_calls_of_one_affinity_meet_wherever_they_come_in():
    replicas = [replica(0, "north"), replica(1, "south"), replica(2, "south"), replica(3, "north")]
    pools = [pool_of(*replicas, zone=zone, seed=seed) for seed, zone in enumerate(["north", "south", ""])]

    for number in range(50):
        met = {pool.choose(standing(0, 1, 2, 3), (), b"session %d" % number, 0.0) for pool in pools}

        assert len(met) == 1


def test_the_quicker_replica_gets_more_calls_and_a_new_one_gets_one():
    pool = pool_of(replica(0), replica(1), replica(2), kind=Balancing.PEAK_EWMA)
    for index, seconds in ((0, 2.0), (1, 0.1)):
        pool.note(f"git:{index}", REPLY, seconds, 0.0)

    assert chosen(pool, standing(0, 1)) == {1}
    assert chosen(pool, standing(0, 2)) == {2}
    assert chosen(pool, [*standing(0), *standing(2, load=1.0)]) == {0}


def test_a_replica_that_fails_at_once_does_not_look_quick():
    pool = pool_of(replica(0), replica(1), kind=Balancing.PEAK_EWMA)
    pool.note("git:0", REPLY, 0.2, 0.0)

    pool.note("git:1", LOST, 0.001, 0.0)

    assert chosen(pool, standing(0, 1)) == {0}


def test_a_refusal_for_want_of_room_says_nothing_of_how_quick_a_replica_is():
    pool = pool_of(replica(0), replica(1), kind=Balancing.PEAK_EWMA)
    pool.note("git:0", REPLY, 0.2, 0.0)
    pool.note("git:1", REPLY, 0.1, 0.0)

    pool.note("git:1", Failure(FailureKind.BUSY, "git"), 9.0, 0.0)

    assert chosen(pool, standing(0, 1)) == {1}


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(Balancing),
    notes=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([REPLY, LOST]), st.floats(0, 30)), max_size=30),
    present=st.sets(st.integers(0, 3), min_size=1),
    refusing=st.sets(st.integers(0, 3)),
    affinity=st.none() | st.binary(max_size=4),
    zone=st.sampled_from(["", "north", "south"]),
)
def test_a_choice_is_one_of_those_standing_and_takes_calls_if_any_does(kind, notes, present, refusing, affinity, zone):
    pool = pool_of(*(replica(index, ("north", "south")[index % 2]) for index in range(4)), kind=kind, zone=zone)
    now = 0.0
    for index, outcome, seconds in notes:
        now += seconds
        pool.note(f"git:{index}", outcome, seconds, now)

    result = pool.choose(standing(*present), [f"git:{index}" for index in refusing], affinity, now)

    assert result in present
    assert result not in refusing or present <= refusing


def test_half_of_the_replicas_take_calls_however_many_fail():
    pool = pool_of(*(replica(index) for index in range(4)))

    for index in range(4):
        fail(pool, index)

    spread = Counter(pool.choose(standing(0, 1, 2, 3), (), None, 1.0) for _ in range(100))
    assert set(spread) == {2, 3}


def test_a_replica_that_joins_gets_its_share_of_the_calls_that_belong_together():
    pool = pool_of(replica(0), replica(1))
    keys = [b"session %d" % number for number in range(300)]
    before = [pool.choose(standing(0, 1), (), key, 0.0) for key in keys]

    pool.update(backend(replica(0), replica(1), replica(2)), "", 1.0)
    after = [pool.choose(standing(0, 1, 2), (), key, 1.0) for key in keys]

    moved = [owner for was, owner in zip(before, after, strict=True) if was != owner]
    assert set(moved) == {2}
    assert 60 < len(moved) < 140
