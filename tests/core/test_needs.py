"""What a backend wants of its process and node."""

from dataclasses import replace
from typing import Any

from actors.core.endpoints import HttpEndpoint, StdioEndpoint
from actors.core.needs import of_replica, ray_options, zone_of
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
    assert 0 < options["num_cpus"] <= 0.01


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
