"""Two nodes, and one of them is lost: what runs on the other goes on, and what was on the lost one comes back there."""

import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster_actors import ENVIRON
from tests.support.cluster_callers import Target, under_load
from tests.support.cluster_nodes import Node, joined_node
from tests.support.cluster_ray import OtherRay
from tests.support.cluster_server import read_journal
from tests.support.gateway_process import gateway
from tests.support.processes import ROOT, eventually

pytestmark = pytest.mark.cluster

NEAR = Target("near__note", {"delay_ms": 20})
BOTH = Target("both__note", {"delay_ms": 20})

OF_REPLICAS = {"session_lost", "disconnected", "unavailable"}
"""What becomes of calls whose replica was on the node."""

NOTICED_SECONDS = 5.0
"""How long Serve's proxy may still send requests to an ingress replica that is gone."""

PAUSE_SECONDS = 2.0
"""For less than this, calls stop that are none of the lost node's."""


@pytest.fixture(scope="module")
def far(ray: OtherRay) -> Iterator[Node]:
    with joined_node(ray, "far") as node:
        yield node


async def test_sessions_and_calls_of_the_other_node_go_on(ray: OtherRay, far: Node, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    counting = [str(ROOT / "tests/support/cluster_server.py"), str(journal)]
    server: dict[str, Any] = {"command": sys.executable, "args": ["-S", *counting]}
    servers = {
        "near": {**server, "placement": {"labels": {"place": "!far"}}},
        "both": {**server, "replicas": 4, "sticky": "hard", "placement": {"strategy": "spread"}},
    }
    texts = (f"text-{number}" for number in range(1_000_000))
    sections = {"server": {"replicas": 2}}
    with gateway(
        tmp_path, servers, sections=sections, arguments=("--address", ray.address), environ=ENVIRON
    ) as running:
        actors = [
            actor for actor in await ray.actors.alive() if actor.name.startswith(("Backend:", "Router", "Metrics"))
        ]
        on_far = [actor.name for actor in actors if actor.node == far.id]

        async with under_load(running.url, "", (NEAR, BOTH), texts=lambda: next(texts)) as load:
            await eventually(lambda: len(load.calls) >= 200, 30)
            lost_at = time.monotonic()
            far.lose()

            async def all_back() -> bool:
                living = {actor.name: actor.node for actor in await ray.actors.alive()}
                return all(living.get(name, far.id) != far.id for name in on_far)

            await eventually(all_back, 90)
            back_at = time.monotonic()
            everybody = {caller.name for caller in load.callers}
            await eventually(lambda: {call.caller for call in load.right_since(back_at)} >= everybody, 30)

    right = [call for call in load.calls if not call.trouble]
    ends = [lost_at, *sorted(call.ended for call in right if lost_at < call.ended < back_at), back_at]
    ran = [note.text for note in read_journal(journal)]
    assert len([name for name in on_far if name.startswith("Backend:both:")]) == 2, "they are spread"
    assert not {"Router", "Metrics", "Backend:near:0"} & set(on_far), "they are on the node of the command"
    failed = [call for call in load.troubled if call.trouble in OF_REPLICAS]
    at_the_door = [call for call in load.troubled if call.trouble not in OF_REPLICAS]
    assert {call.backend for call in failed} <= {"both"}
    assert all(call.trouble == "connection" or call.trouble.startswith("status 5") for call in at_the_door)
    assert all(call.began < lost_at + NOTICED_SECONDS for call in at_the_door)
    assert max(later - earlier for earlier, later in pairwise(ends)) < PAUSE_SECONDS
    assert len(ran) == len(set(ran))
