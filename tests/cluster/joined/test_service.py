"""The gateway as an application of Serve, as KubeRay deploys it: it comes up, and comes back when its command dies."""

import json
import os
import signal
from dataclasses import dataclass

import httpx
import psutil
import pytest

from tests.support.cluster_actors import ENVIRON, TOKEN
from tests.support.cluster_callers import Caller, Target, WrongAnswer
from tests.support.cluster_ray import OtherRay
from tests.support.gateway_process import module
from tests.support.processes import ROOT, eventually, free_port, wait_gone

pytestmark = pytest.mark.cluster

AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True)
class Service:
    """One that was deployed."""

    ray: OtherRay
    port: int

    def command(self) -> psutil.Process:
        """The process of `only1mcp run`."""
        (command,) = filter(_is_command, self.ray.processes())
        return psutil.Process(command)

    async def answers(self) -> bool:
        """Whether a call gets its answer."""
        caller = Caller(f"http://127.0.0.1:{self.port}/mcp", "", legacy=False)
        try:
            return not (await caller.call(Target("echo__echo"), "hello")).trouble
        finally:
            await caller.close()


def _is_command(pid: int) -> bool:
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return words[1:4] == ["-m", "serve_app.cli.main", "run"]


@pytest.fixture(scope="module")
def service(ray: OtherRay, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """It stays for as long as its Ray, and so these tests are the last there."""
    config = tmp_path_factory.mktemp("service") / "gateway.json"
    config.write_text(json.dumps({"mcpServers": {"echo": module("tests.support.echo_server", "--stdio")}}))
    port = free_port()
    arguments = {"config": str(config), "host": "127.0.0.1", "port": port}
    variables = {"PYTHONPATH": str(ROOT), **ENVIRON, "RAY_AUTH_MODE": "token"}
    application = {
        "name": "command",
        "import_path": "serve_app.service:gateway",
        "args": arguments,
        "runtime_env": {"env_vars": variables},
    }
    body = {
        "http_options": {"host": "127.0.0.1", "port": port},
        "applications": [{**application, "route_prefix": None}],
    }
    url = f"{ray.dashboard}/api/serve/applications/"
    httpx.put(url, json=body, headers=AUTHORIZATION, timeout=60).raise_for_status()
    return Service(ray, port)


async def test_it_serves_when_serve_says_that_it_runs(service: Service) -> None:
    url = f"{service.ray.dashboard}/api/serve/applications/"

    async def running() -> bool:
        async with httpx.AsyncClient(headers=AUTHORIZATION, timeout=20) as client:
            applications = (await client.get(url)).json()["applications"]
        assert applications["command"]["status"] != "DEPLOY_FAILED", applications["command"]["message"]
        return bool(applications["command"]["status"] == "RUNNING")

    await eventually(running, 120)

    assert await service.answers()


async def test_a_command_that_is_killed_is_started_again(service: Service) -> None:
    before = service.command()

    before.kill()
    await wait_gone([before.pid], 10)
    await eventually(lambda: comes_back(service, before), 90)


async def test_a_command_ends_with_the_replica_that_keeps_it(service: Service) -> None:
    before = service.command()
    (keeper,) = await service.ray.actors.of("ServeReplica:command:command")

    os.kill(keeper.pid, signal.SIGKILL)

    assert await wait_gone([before.pid], 40) == []
    await eventually(lambda: comes_back(service, before), 90)


async def comes_back(service: Service, before: psutil.Process) -> bool:
    try:
        return service.command().pid != before.pid and await service.answers()
    except (ValueError, psutil.Error, WrongAnswer):  # no command, no backend that is known yet
        return False
