"""Where replicas run: many in one process, which comes back with all of them; some in processes of their own; on which
node those are."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from actors.core.packing import PROCESSES_PER_CPU
from tests.support.cluster_actors import ENVIRON, NAMESPACE, Actors, actors_of
from tests.support.cluster_callers import Caller, Target, WrongAnswer
from tests.support.cluster_nodes import joined_node
from tests.support.cluster_ray import other_ray
from tests.support.gateway_process import GatewayProcess, gateway, module
from tests.support.processes import eventually, listening

pytestmark = pytest.mark.cluster

SHARED = [f"shared-{number}" for number in range(5)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Five backends that share two processes, one with an environment and one with resources of its own."""
    own = module("tests.support.echo_server", "--stdio") | {"runtime_env": {"env_vars": {"O1M_PLACE": "its own"}}}
    with listening("tests.support.echo_server", "--http", "0") as server:
        servers: dict[str, Any] = {name: {"url": server.url} for name in SHARED}
        servers |= {"own": own, "needy": {"url": server.url, "resources": {"num_cpus": 0.5}}}
        folder = tmp_path_factory.mktemp("placement")
        with gateway(
            folder, servers, sections={"server": {"density": 3}}, environ=ENVIRON, dashboard=True
        ) as gateway_process:
            yield gateway_process


@pytest.fixture
def actors(running: GatewayProcess) -> Actors:
    return actors_of(running)


async def up(running: GatewayProcess) -> int:
    """How many backends can serve."""
    async with httpx.AsyncClient() as client:
        return int((await client.get(f"{running.origin}/health")).json()["backends"]["up"])


async def troubles(running: GatewayProcess, names: list[str]) -> list[str]:
    """Call every one of these backends once; what went wrong with each."""
    caller = Caller(running.url, "", legacy=False)
    try:
        return [(await caller.call(Target(f"{name}__echo"), f"to {name}")).trouble for name in names]
    finally:
        await caller.close()


async def test_backends_share_processes_unless_they_want_something_of_theirs(
    running: GatewayProcess, actors: Actors
) -> None:
    await eventually(lambda: no_trouble(running), 60)

    names = {actor.name for actor in await actors.alive() if actor.namespace == NAMESPACE}

    assert names == {"Router", "Metrics", "Backends:1", "Backends:2", "Backend:own:0", "Backend:needy:0"}
    assert await troubles(running, [*SHARED, "own", "needy"]) == [""] * 7


async def test_a_shared_process_that_dies_comes_back_with_all_who_were_in_it(
    running: GatewayProcess, actors: Actors
) -> None:
    killed = await actors.one("Backends:1")
    killed.kill()

    back = await actors.back(killed)
    await eventually(lambda: no_trouble(running), 30)

    assert back.restarts == killed.restarts + 1
    assert await troubles(running, SHARED) == [""] * 5


async def test_a_shared_process_and_the_router_that_remembers_it_may_die_together(
    running: GatewayProcess, actors: Actors
) -> None:
    router, host = await actors.one("Router"), await actors.one("Backends:2")
    router.kill()
    host.kill()

    await asyncio.gather(actors.back(router), actors.back(host))
    await eventually(lambda: no_trouble(running), 60)

    assert await troubles(running, SHARED) == [""] * 5


async def no_trouble(running: GatewayProcess) -> bool:
    try:
        return await up(running) == 7 and not any(await troubles(running, SHARED))
    except WrongAnswer:  # of an ingress that does not know them yet
        return False


def test_a_server_sees_the_environment_of_its_process(running: GatewayProcess) -> None:
    environments = [Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in running.servers()]

    assert environments
    assert all(b"O1M_PLACE=its own" in each for each in environments)
    assert os.environ.get("O1M_PLACE") is None


async def test_replicas_fill_the_node_of_the_command_before_they_go_to_another(tmp_path: Path) -> None:
    room = PROCESSES_PER_CPU  # the first node has one CPU
    sections = {"server": {"density": 1, "start_concurrency": 1}}
    with (
        other_ray(cpus=1) as ray,
        joined_node(ray, "far") as far,
        listening("tests.support.echo_server", "--http", "0") as server,
    ):
        servers: dict[str, Any] = {f"b{number}": {"url": server.url} for number in range(room + 2)}
        servers["chosen"] = {"url": server.url, "placement": {"labels": {"place": "far"}}}
        with gateway(tmp_path, servers, sections=sections, arguments=("--address", ray.address), environ=ENVIRON):
            actors = [actor for actor in await ray.actors.alive() if actor.name.startswith("Backend:")]

    on_far = {actor.name for actor in actors if actor.node == far.id}
    assert len(actors) == room + 3
    assert on_far == {f"Backend:b{room}:0", f"Backend:b{room + 1}:0", "Backend:chosen:0"}
