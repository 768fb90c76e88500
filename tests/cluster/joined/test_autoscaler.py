"""A replica that finds no room on the cluster gets a node: Ray's autoscaler adds one that has what it wants."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.cluster_actors import ENVIRON, TOKEN
from tests.support.cluster_callers import Caller, Target
from tests.support.cluster_ray import OtherRay, other_ray
from tests.support.gateway_process import gateway, module

pytestmark = pytest.mark.cluster

ZONE_LABEL = "topology.kubernetes.io/zone"


@pytest.fixture(scope="module")
def ray() -> Iterator[OtherRay]:
    worker = {
        "resources": {"CPU": 1, "license": 1},
        "labels": {ZONE_LABEL: "far-1a"},
        "node_config": {},
        "max_workers": 1,
    }
    with other_ray({"licensed": worker}) as running:
        yield running


def nodes(ray: OtherRay) -> dict[str, dict[str, str]]:
    """The labels of every living node, by its id."""
    page = httpx.get(
        f"{ray.dashboard}/api/v0/nodes", params={"detail": 1}, headers={"authorization": f"Bearer {TOKEN}"}
    )
    entries = page.json()["data"]["result"]["result"]
    return {entry["node_id"]: entry["labels"] for entry in entries if entry["state"] == "ALIVE"}


async def test_a_replica_that_wants_what_no_node_has_runs_on_one_that_is_added(ray: OtherRay, tmp_path: Path) -> None:
    before = nodes(ray)
    echo = module("tests.support.echo_server", "--stdio")
    servers = {
        "near": echo,
        "licensed": echo | {"resources": {"custom": {"license": 1}}},
        "far": echo | {"placement": {"labels": {ZONE_LABEL: "far-1a"}}},
    }

    with gateway(tmp_path, servers, arguments=("--address", ray.address), environ=ENVIRON) as running:
        added = {node: labels for node, labels in nodes(ray).items() if node not in before}
        actors = {actor.name: actor for actor in await ray.actors.alive()}
        caller = Caller(running.url, "", legacy=False)
        calls = [await caller.call(Target(f"{name}__echo"), name) for name in servers]
        await caller.close()

    assert [labels.get(ZONE_LABEL) for labels in added.values()] == ["far-1a"]
    assert actors["Backend:licensed:0"].node in added
    assert actors["Backend:far:0"].node in added
    assert actors["Backend:near:0"].node in before
    assert [call.trouble for call in calls] == ["", "", ""]
