"""Which replicas there shall be."""

from hypothesis import given
from hypothesis import strategies as st

from actors.core.endpoints import HttpEndpoint, StdioEndpoint
from actors.core.membership import ReplicaKey
from actors.core.roster import Added, Changes, Roster
from actors.core.settings import BackendSettings
from actors.core.traffic_settings import BalancerSettings, Balancing, PoolUrl, RetrySettings, ScaleSettings

GENERATION = "first"


def stdio(name: str = "git", command: str = "x", **more: object) -> BackendSettings:
    return BackendSettings(name=name, endpoint=StdioEndpoint(command=command), **more)  # type: ignore[arg-type]


def pool(*urls: PoolUrl) -> BackendSettings:
    return BackendSettings(name="git", endpoint=HttpEndpoint(url=urls[0].url), urls=urls)


def url(number: int, weight: float = 1.0) -> PoolUrl:
    return PoolUrl(url=f"http://127.0.0.1:{number}/mcp", weight=weight)


def roster_of(*backends: BackendSettings) -> Roster:
    roster = Roster()
    roster.configure(backends)
    return roster


def staying(roster: Roster, name: str = "git") -> list[int]:
    return [key.index for key, berth in roster.berths.items() if key.backend == name and not berth.retiring]


def retiring(roster: Roster) -> list[str]:
    return [str(key) for key, berth in roster.berths.items() if berth.retiring]


def test_every_backend_gets_as_many_berths_as_it_has_replicas() -> None:
    roster = roster_of(stdio(replicas=3), stdio("web"))

    assert staying(roster) == [0, 1, 2]
    assert staying(roster, "web") == [0]


def test_the_same_configuration_again_changes_nothing() -> None:
    roster = roster_of(stdio(), stdio("web"))
    version, berths = roster.version, dict(roster.berths)

    assert roster.configure([stdio("web"), stdio()]) == Changes(unchanged=("git", "web"))
    assert (roster.version, dict(roster.berths)) == (version, berths)


def test_what_was_added_by_hand_is_no_part_of_what_a_configuration_changes() -> None:
    roster = roster_of(stdio())
    roster.add(Added(stdio("web"), b"{}"))

    assert roster.configure([stdio()]) == Changes(unchanged=("git",))
    assert roster.configure([]) == Changes(removed=("git",))


def test_a_berth_is_housed_once_and_only_if_it_is_there() -> None:
    roster = roster_of(stdio())
    version, key = roster.version, ReplicaKey("git", 0)

    assert roster.house(key, "Backends:1")
    assert roster.house(key, "Backends:1")
    assert not roster.house(ReplicaKey("git", 1), "Backends:1")
    assert (roster.version, roster.berths[key].host) == (version + 1, "Backends:1")


def test_who_stays_neither_retires_nor_is_replaced() -> None:
    roster = roster_of(stdio(), stdio("web"), stdio("old"))
    roster.configure([stdio(command="y"), stdio("web")])

    assert [str(berth.key) for berth in roster.orders(GENERATION).staying] == ["web:0", "git:1"]


def test_a_removed_backend_retires_and_its_number_is_never_used_again() -> None:
    roster = roster_of(stdio(), stdio("web"))

    assert roster.configure([stdio("web")]) == Changes(removed=("git",), unchanged=("web",))
    assert retiring(roster) == ["git:0"]
    roster.clear(ReplicaKey("git", 0))
    roster.configure([stdio(), stdio("web")])

    assert staying(roster) == [1]


def test_a_changed_backend_keeps_its_old_replicas_until_the_new_ones_are_up_one_for_one() -> None:
    roster = roster_of(stdio(replicas=2))

    assert roster.configure([stdio(command="y", replicas=2)]).changed == ("git",)
    assert staying(roster) == [0, 1, 2, 3]
    roster.settle({ReplicaKey("git", 0), ReplicaKey("git", 1)})
    assert not retiring(roster)
    roster.settle({ReplicaKey("git", 0), ReplicaKey("git", 1), ReplicaKey("git", 3)})
    assert retiring(roster) == ["git:0"]
    roster.settle({ReplicaKey("git", 1), ReplicaKey("git", 2), ReplicaKey("git", 3)})

    assert retiring(roster) == ["git:0", "git:1"]
    assert staying(roster) == [2, 3]


def test_what_only_the_ingress_needs_to_know_needs_no_new_replica() -> None:
    roster = roster_of(stdio())
    changed = stdio(balancer=BalancerSettings(kind=Balancing.RANDOM), retry=RetrySettings(max_attempts=1))

    assert roster.configure([changed]).changed == ("git",)
    assert staying(roster) == [0]
    assert roster.backends["git"] == changed


def test_more_replicas_are_added_and_fewer_retire_the_youngest() -> None:
    roster = roster_of(stdio(replicas=2))
    roster.configure([stdio(replicas=3)])
    assert staying(roster) == [0, 1, 2]
    roster.configure([stdio(replicas=1)])

    assert staying(roster) == [0]
    assert retiring(roster) == ["git:1", "git:2"]


def test_a_pool_has_a_replica_for_each_url_and_keeps_those_that_stay() -> None:
    roster = roster_of(pool(url(1), url(2), url(3)))
    roster.configure([pool(url(3), url(2, weight=2.0), url(4))])
    kept = {key.index: berth.essence for key, berth in roster.berths.items() if berth.settings.urls[0] == url(3)}
    urls = {index: (settings.endpoint.url[-5], weight) for index, (settings, weight) in kept.items()}  # type: ignore[union-attr]

    assert urls == {2: ("3", 1.0), 3: ("2", 2.0), 4: ("4", 1.0)}


def test_what_may_end_when_idle_is_started_once() -> None:
    assert roster_of(stdio(replicas=ScaleSettings(min=0, max=2))).count("git") == 1


def test_a_change_of_settings_keeps_the_number_that_the_load_called_for() -> None:
    roster = roster_of(stdio(replicas=ScaleSettings(min=1, max=4)))
    roster.scale("git", 3)
    roster.configure([stdio(command="y", replicas=ScaleSettings(min=1, max=4))])

    assert roster.count("git") == 3


def test_a_server_that_was_added_stays_when_the_file_is_read_again_and_yields_to_one_of_the_file() -> None:
    roster = roster_of(stdio())
    roster.add(Added(stdio("web", "added"), b"{}"))
    assert roster.configure([stdio()]).removed == ()
    roster.configure([stdio(), stdio("web", "file")])
    assert roster.backends["web"] == stdio("web", "file")
    roster.configure([stdio()])
    assert roster.backends["web"] == stdio("web", "added")

    assert roster.remove("web").removed == ("web",)


def test_only_a_replica_that_retires_can_be_cleared() -> None:
    roster = roster_of(stdio())
    roster.clear(ReplicaKey("git", 0))

    assert staying(roster) == [0]


COMMANDS = st.sampled_from(["x", "y", "z"])
BACKENDS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.tuples(COMMANDS, st.integers(1, 3)), min_size=0, max_size=3
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("configure"), BACKENDS),
        st.tuples(st.just("up"), st.integers(0, 20)),
        st.tuples(st.just("end"), st.integers(0, 20)),
    ),
    max_size=20,
)


@given(STEPS)
def test_whatever_happens_never_fewer_serve_than_shall_and_in_the_end_exactly_those_that_shall(
    steps: list[tuple[str, object]],
) -> None:
    roster = Roster()
    up: set[ReplicaKey] = set()
    for kind, value in steps:
        if kind == "configure":
            wanted = [stdio(name, command, replicas=count) for name, (command, count) in value.items()]  # type: ignore[attr-defined]
            roster.configure(wanted)
        elif kind == "up" and roster.berths:
            keys = list(roster.berths)
            up.add(keys[value % len(keys)])  # type: ignore[operator]
            serving = {name: serving_of(roster, name, up) for name in roster.backends}
            roster.settle(up)
            for name, before in serving.items():
                assert serving_of(roster, name, up) >= min(before, roster.count(name))
        elif kind == "end":
            for key in [key for key, berth in roster.berths.items() if berth.retiring][:1]:
                roster.clear(key)
                up.discard(key)
        roster = Roster(roster.orders(GENERATION))
    up |= set(roster.berths)
    roster.settle(up)

    for name, settings in roster.backends.items():
        berths = [berth for key, berth in roster.berths.items() if key.backend == name and not berth.retiring]
        assert [berth.settings for berth in berths] == [settings] * roster.count(name)
    assert {key.backend for key, berth in roster.berths.items() if not berth.retiring} == set(roster.backends)


def serving_of(roster: Roster, name: str, up: set[ReplicaKey]) -> int:
    return sum(key in up and not berth.retiring for key, berth in roster.berths.items() if key.backend == name)
