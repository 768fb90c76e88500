"""The environment of Ray's processes."""

import socket
import subprocess
from pathlib import Path

import pytest

from serve_app.environment import FAST_SERVE, QUIET_RAY, haproxy_available, ray_environment, with_our_variables

with_haproxy = pytest.mark.skipif(not haproxy_available(), reason="there is no HAProxy for this machine")


def test_what_the_user_has_set_stays() -> None:
    environ = {"A": "theirs"}

    with_our_variables({"A": "ours", "B": "ours"}, environ)

    assert environ == {"A": "theirs", "B": "ours"}


def test_ray_is_fast_quiet_and_closed_to_those_without_a_token(tmp_path: Path) -> None:
    variables = ray_environment(tmp_path, 10.0)

    assert variables.items() >= FAST_SERVE.items()
    assert variables.items() >= QUIET_RAY.items()
    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["RAY_USAGE_STATS_ENABLED"] == "0"


def test_ingress_replicas_get_the_ports_of_their_gateway_and_no_others(tmp_path: Path) -> None:
    variables = ray_environment(tmp_path, 10.0, range(12_000, 12_199))

    assert variables["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"] == "12000"
    assert variables["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"] == "12198"


@with_haproxy
def test_all_files_of_haproxy_are_in_the_folder_of_the_run(tmp_path: Path) -> None:
    variables = ray_environment(tmp_path, 10.0)

    paths = [value for name, value in variables.items() if name.startswith("RAY_SERVE_HAPROXY") and "/" in value]
    assert len(paths) == 6
    assert all(Path(path).is_relative_to(tmp_path) for path in paths)


@with_haproxy
def test_two_runs_at_once_share_no_port(tmp_path: Path) -> None:
    ports = set()
    taken = []
    for _ in range(3):
        for name, value in ray_environment(tmp_path, 10.0).items():
            if name.endswith("_PORT"):
                holder = socket.socket()
                holder.bind(("127.0.0.1", int(value)))
                taken.append(holder)
                ports.add(value)
    for holder in taken:
        holder.close()

    assert len(ports) == 6


@with_haproxy
@pytest.mark.parametrize(("drain", "seconds"), [(0.0, "1"), (0.2, "1"), (10.0, "10"), (2.6, "3")])
def test_haproxy_ends_in_whole_seconds_and_never_in_none(tmp_path: Path, drain: float, seconds: str) -> None:
    assert ray_environment(tmp_path, drain)["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"] == seconds


@with_haproxy
def test_the_binary_given_to_serve_is_haproxy_and_for_this_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "with a 'quote"
    folder.mkdir()

    binary = Path(ray_environment(folder, 10.0)["RAY_SERVE_HAPROXY_BINARY_PATH"])
    said = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=20, check=True)

    assert binary.stat().st_mode & 0o777 == 0o700
    assert said.stdout.startswith("HAProxy version")
