"""The command as a person meets it: starts, stops, says what is wrong."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.gateway_process import GatewayProcess, chaos, gateway, marked, module
from tests.support.processes import ROOT, is_there, wait_gone

pytestmark = pytest.mark.e2e


def only1mcp(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serve_app.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)


def is_agent_of_ray(pid: int) -> bool:
    """Whether a process is one of the two of Ray's that notice the end of their Ray only after a minute or so."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return False
    return title.startswith((b"ray::DashboardAgent", b"ray::RuntimeEnvAgent"))


def listening(gateway: GatewayProcess) -> set[int]:
    """The TCP ports on which processes of a gateway take connections."""
    found = set()
    for pid in gateway.ray_processes():
        with suppress(psutil.NoSuchProcess):
            connections = psutil.Process(pid).net_connections("tcp")
            found |= {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    assert gateway.port in found
    return found


def test_a_second_run_on_a_taken_port_says_so_in_one_sentence(running: GatewayProcess) -> None:
    second = only1mcp("run", "--port", str(running.port))

    assert second.returncode == 1
    assert f"port {running.port} of 127.0.0.1 is taken" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert httpx.get(f"{running.origin}/health/live").status_code == 200


def test_another_address_without_auth_is_refused_before_anything_starts(tmp_path: Path) -> None:
    config = tmp_path / "only1mcp.json"
    config.write_text('{"mcpServers": {"time": {"url": "http://127.0.0.1:1/mcp"}}}')

    refused = only1mcp("run", "--config", str(config), "--host", "0.0.0.0")

    assert refused.returncode == 2
    assert "auth" in refused.stderr


def test_a_wrong_configuration_is_refused_with_every_reason(tmp_path: Path) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text("mcpServers:\n  a: {comand: x}\n  b: {url: 'http://x/mcp', timeout: soon}\n")

    refused = only1mcp("run", "--config", str(config))

    assert refused.returncode == 2
    assert "mcpServers.a.comand" in refused.stderr
    assert "mcpServers.b.timeout" in refused.stderr


async def test_nothing_is_left_after_a_stop_and_another_gateway_is_not_touched(
    running: GatewayProcess, tmp_path: Path
) -> None:
    servers = {
        "demo": module("serve_app.demonstration"),
        "stubborn": chaos("--stubborn", "--grandchild", "own-session"),
    }
    others = psutil.Process(running.process.pid).children()
    assert others
    with gateway(tmp_path, servers, dashboard=True) as stopping:
        started = [*stopping.ray_processes(), *stopping.servers()]
        assert len(stopping.servers()) >= 3, "two servers and a grandchild"
        assert listening(running) & listening(stopping) == set(), "each would get requests of the other's clients"

        stopping.process.send_signal(signal.SIGINT)
        code = stopping.process.wait(40)

        assert code == 0
        assert await wait_gone(started, 5) == []
        assert "stopped" in stopping.output()
        assert "Ray dashboard at http://127.0.0.1:" in stopping.output()

    assert [each for each in others if not is_there(each.pid)] == []
    assert httpx.get(f"{running.origin}/health").status_code == 200


def test_a_ray_without_its_dashboard_has_none_of_its_processes(running: GatewayProcess) -> None:
    assert "Ray runs without a dashboard" in running.output()
    names = [psutil.Process(pid).name() for pid in running.ray_processes()]
    assert [name for name in names if name.startswith("ray-dashboard")] == []


def test_a_cluster_that_is_joined_has_the_dashboard_it_has() -> None:
    refused = only1mcp("run", "--address", "127.0.0.1:1", "--no-dashboard")

    assert refused.returncode == 2
    assert "not allowed with" in refused.stderr


async def test_nothing_is_left_after_the_command_is_killed(tmp_path: Path) -> None:
    servers = {
        "demo": module("serve_app.demonstration"),
        "stubborn": chaos("--stubborn", "--grandchild", "own-session"),
    }
    with gateway(tmp_path, servers, dashboard=True) as running:
        started = [*running.ray_processes(), *running.servers()]
        ours = [pid for pid in started if not is_agent_of_ray(pid)]

        os.kill(running.process.pid, signal.SIGKILL)

        assert await wait_gone(ours, 30) == []
        assert marked(running.mark) == []


async def test_nothing_is_left_after_rays_own_process_is_killed(tmp_path: Path) -> None:
    with gateway(tmp_path, {"stubborn": chaos("--stubborn", "--grandchild", "same-group")}) as running:
        started = [pid for pid in running.ray_processes() if not is_agent_of_ray(pid)]
        raylet = next(pid for pid in started if psutil.Process(pid).name().startswith("raylet"))

        os.kill(raylet, signal.SIGKILL)

        assert await wait_gone(running.servers(), 30) == []
        assert running.process.wait(60) == 1
        assert await wait_gone(started, 30) == []
