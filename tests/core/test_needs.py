"""What a backend wants of its process and node."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.endpoints import HttpEndpoint, StdioEndpoint
from actors.core.needs import Node, of_replica, packed_on, ray_options, zone_of
from actors.core.packing import PROCESSES_PER_CPU
from actors.core.settings import BackendSettings
from actors.core.traffic_settings import PlacementSettings, PoolUrl, ResourceSettings


def stdio(**more: Any) -> BackendSettings:
    return BackendSettings(name="time", endpoint=StdioEndpoint(command="server", env={"TZ": "UTC"}), **more)


def test_a_backend_that_wants_nothing_has_no_options() -> None:
    assert ray_options(stdio()) == {}


def test_resources_environment_and_placement_become_options_of_ray() -> None:
    settings = stdio(
        resources=ResourceSettings(num_cpus=0.5, num_gpus=1, memory=1 << 30, custom={"license": 1}),
        runtime_env={"pip": ["mcp-server-time"]},
        placement=PlacementSettings(strategy="spread", labels={"disk": "fast"}),
    )

    assert ray_options(settings) == {
        "num_cpus": 0.5,
        "num_gpus": 1,
        "memory": 1 << 30,
        "resources": {"license": 1},
        "runtime_env": {"pip": ["mcp-server-time"]},
        "scheduling_strategy": "SPREAD",
        "label_selector": {"disk": "fast"},
    }


def test_what_is_to_be_spread_wants_a_little_because_ray_spreads_nothing_that_wants_nothing() -> None:
    options = ray_options(stdio(placement=PlacementSettings(strategy="spread"), resources=ResourceSettings()))

    assert options["scheduling_strategy"] == "SPREAD"
    assert options["num_cpus"] == 0, "a part of one would keep those from starting that want all of them"
    assert options["memory"] == 1


def test_whoever_has_options_has_a_process_of_its_own() -> None:
    for settings in (
        stdio(resources=ResourceSettings()),
        stdio(runtime_env={"pip": []}),
        stdio(placement=PlacementSettings(strategy="spread")),
    ):
        assert ray_options(settings)
        assert settings.has_own_process


def test_a_server_over_stdio_sees_the_variables_of_its_process_below_its_own() -> None:
    settings = stdio(runtime_env={"env_vars": {"TZ": "CET", "MODEL": "small"}})

    made, weight = of_replica(settings, 0)

    assert made == replace(settings, endpoint=StdioEndpoint(command="server", env={"TZ": "UTC", "MODEL": "small"}))
    assert weight == 1


def test_a_replica_of_a_pool_has_its_own_address_and_weight() -> None:
    urls = (PoolUrl(url="http://a/mcp"), PoolUrl(url="http://b/mcp", weight=3))
    pool = BackendSettings(name="pool", endpoint=HttpEndpoint(url="http://a/mcp"), urls=urls)

    made, weight = of_replica(pool, 1)

    assert made.endpoint == HttpEndpoint(url="http://b/mcp")
    assert weight == 3


def test_a_node_is_where_its_labels_say() -> None:
    assert zone_of({"only1mcp-zone": "cellar", "topology.kubernetes.io/zone": "eu-1a"}) == "eu-1a"
    assert zone_of({"ray.io/availability-zone": "", "only1mcp-zone": "cellar"}) == "cellar"
    assert zone_of({"ray.io/node-id": "1"}) == ""


# --- packing nodes ---


def node(name: str, processes: int = 0, cpus: float = 1, **labels: str) -> Node:
    return Node(name, cpus, labels, processes)


NODES = st.lists(st.builds(node, st.uuids().map(str), st.integers(0, 9), st.sampled_from([0, 0.5, 1, 2])), max_size=5)


def test_processes_fill_one_node_before_they_go_to_the_next() -> None:
    running = {"near": 0, "far": 0}

    order = []
    for _ in range(2 * PROCESSES_PER_CPU):
        chosen = packed_on({}, [node(name, count) for name, count in running.items()])
        assert chosen is not None
        running[chosen] += 1
        order.append(chosen)

    assert order == ["near"] * PROCESSES_PER_CPU + ["far"] * PROCESSES_PER_CPU
    assert packed_on({}, [node(name, count) for name, count in running.items()]) is None


def test_a_node_that_has_processes_comes_before_one_that_has_none() -> None:
    assert packed_on({}, [node("near"), node("far", 1)]) == "far"


def test_a_node_whose_cpus_ray_may_not_use_has_no_room() -> None:
    assert packed_on({}, [node("head", cpus=0)]) is None
    assert packed_on({}, [node("head", cpus=0), node("worker")]) == "worker"


@given(nodes=NODES)
def test_the_node_has_room_and_none_with_room_is_fuller(nodes: list[Node]) -> None:
    roomy = {each.id: each.processes for each in nodes if each.processes < int(each.cpus) * PROCESSES_PER_CPU}

    chosen = packed_on({}, nodes)

    assert (chosen is None) == (not roomy)
    assert chosen is None or roomy[chosen] == max(roomy.values())


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ({"disk": "fast"}, "b"),
        ({"disk": "!slow"}, "b"),
        ({"disk": "in(fast, huge)"}, "b"),
        ({"disk": "!in(slow,fast)"}, "c"),
        ({"disk": "!fast", "zone": "2"}, "c"),
        ({"disk": "none"}, None),
    ],
)
def test_only_nodes_with_the_labels_that_are_wanted_are_packed(wanted: Mapping[str, str], chosen: str | None) -> None:
    nodes = [node("a", 3, disk="slow"), node("b", 2, disk="fast"), node("c", 1, zone="2")]

    assert packed_on({"label_selector": wanted}, nodes) == chosen


@pytest.mark.parametrize(
    "resources",
    [
        ResourceSettings(num_cpus=0.5),
        ResourceSettings(num_gpus=1),
        ResourceSettings(memory=1 << 30),
        ResourceSettings(custom={"license": 1}),
    ],
)
def test_what_wants_resources_is_left_to_ray_which_has_nodes_added_for_it(resources: ResourceSettings) -> None:
    assert packed_on(ray_options(stdio(resources=resources)), [node("near", cpus=8)]) is None
    assert packed_on(ray_options(stdio(resources=ResourceSettings())), [node("near", cpus=8)]) == "near"
