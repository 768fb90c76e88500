"""`run --address`: a guest on a Ray that somebody else started. The Ray lives on, however the guest ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.cluster import CHAOS
from tests.support.cluster_actors import ENVIRON, NAMESPACE
from tests.support.cluster_callers import Caller
from tests.support.cluster_ray import OtherRay
from tests.support.gateway_process import GatewayProcess, chaos, gateway
from tests.support.processes import ROOT, eventually, free_port, wait_gone

pytestmark = pytest.mark.cluster


@contextmanager
def guest_of(ray: OtherRay, folder: Path) -> Iterator[GatewayProcess]:
    """A gateway on that Ray, with a server that ends only when it is killed, and leaves a process of its own."""
    servers = {"chaos": chaos(), "stubborn": chaos("--stubborn", "--grandchild", "own-session")}
    with gateway(folder, servers, arguments=("--address", ray.address), environ=ENVIRON) as running:
        yield running


@pytest.fixture(scope="module")
def guest(ray: OtherRay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with guest_of(ray, tmp_path_factory.mktemp("guest")) as running:
        yield running


async def test_a_guest_that_is_killed_leaves_no_server_and_no_actor_of_its_own(ray: OtherRay, tmp_path: Path) -> None:
    with guest_of(ray, tmp_path) as guest:
        servers = guest.servers()

        os.kill(guest.process.pid, signal.SIGKILL)

        assert len(servers) >= 3, "two servers and a grandchild"
        assert await wait_gone(servers, 30) == []

    async def no_actor() -> bool:
        return not [actor for actor in await ray.actors.alive() if actor.namespace == NAMESPACE]

    await eventually(no_actor, 30)
    assert ray.process.poll() is None


async def test_a_guest_serves_where_another_was_killed(guest: GatewayProcess) -> None:
    caller = Caller(guest.url, "", legacy=True)

    await caller.open()
    call = await caller.call(CHAOS, "from afar")
    await caller.close()

    assert not call.trouble


def test_a_second_guest_at_once_says_that_there_is_one(ray: OtherRay, guest: GatewayProcess, tmp_path: Path) -> None:
    config = tmp_path / "second.json"
    config.write_text(json.dumps({"mcpServers": {"chaos": chaos()}}))
    arguments = ["run", "--address", ray.address, "--port", str(free_port()), "--config", str(config)]

    second = subprocess.run(
        [sys.executable, "-m", "serve_app.cli.main", *arguments],
        cwd=ROOT,
        env={**os.environ, **ENVIRON},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert second.returncode == 1
    assert "there is another only1mcp on this Ray" in second.stderr
    assert httpx.get(f"{guest.origin}/health").json()["status"] == "ok"


async def test_a_guest_that_stops_leaves_the_ray_as_it_was(ray: OtherRay, guest: GatewayProcess) -> None:
    servers = guest.servers()

    guest.process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(guest.process.wait, 60)

    assert code == 0
    assert len(servers) >= 3
    assert await wait_gone(servers, 5) == []
    assert await ray.actors.alive() == []
    assert ray.process.poll() is None
