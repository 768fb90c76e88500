"""The environment of Ray's processes."""

import subprocess
from pathlib import Path

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from serve_app.door_secret import cluster_secret
from serve_app.environment import (
    FAST_SERVE,
    QUIET_RAY,
    guest_environment,
    haproxy_available,
    ray_environment,
    with_our_variables,
)
from serve_app.haproxy_keeper import _SAFE
from serve_app.peer import SECRET_VARIABLE

PORTS = range(12_000, 12_199)

with_haproxy = pytest.mark.skipif(not haproxy_available(), reason="there is no HAProxy for this machine")


def test_what_the_user_has_set_stays() -> None:
    environ = {"A": "theirs"}

    with_our_variables({"A": "ours", "B": "ours"}, environ)

    assert environ == {"A": "theirs", "B": "ours"}


def test_ray_is_fast_quiet_and_closed_to_those_without_a_token(tmp_path: Path) -> None:
    variables = ray_environment(tmp_path, 10.0, PORTS)

    assert variables.items() >= FAST_SERVE.items()
    assert variables.items() >= QUIET_RAY.items()
    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["RAY_USAGE_STATS_ENABLED"] == "0"


def test_nothing_that_our_environment_sets_turns_rays_token_off(tmp_path: Path) -> None:
    for variables in (ray_environment(tmp_path, 10.0, PORTS), guest_environment({"RAY_AUTH_TOKEN": "t"}, tmp_path)):
        about = {name: value for name, value in variables.items() if "AUTH" in name}
        assert about == {"RAY_AUTH_MODE": "token"}
    assert not [name for name in guest_environment({}, tmp_path) if "AUTH" in name]


def test_uvicorn_believes_nobody_who_says_where_a_request_comes_from(tmp_path: Path) -> None:
    assert ray_environment(tmp_path, 10.0, PORTS)["FORWARDED_ALLOW_IPS"] == ""
    assert "127.0.0.1" not in ProxyHeadersMiddleware(lambda *_: None, "").trusted_hosts  # type: ignore[arg-type]


@with_haproxy
def test_each_run_has_a_secret_of_its_own_unless_a_cluster_shares_one(tmp_path: Path) -> None:
    one, two = (ray_environment(tmp_path, 10.0, PORTS)[SECRET_VARIABLE] for _ in range(2))

    assert one != two
    assert _SAFE.fullmatch(one)
    assert ray_environment(tmp_path, 10.0, PORTS, secret="shared")[SECRET_VARIABLE] == "shared"


def test_the_nodes_of_a_cluster_have_the_secret_that_its_token_makes(tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("token\n")
    elsewhere = tmp_path / "file"
    elsewhere.write_text("token")

    shared = cluster_secret({}, tmp_path)
    by_variable = cluster_secret({"RAY_AUTH_TOKEN": "token"}, tmp_path / "none")
    by_file = cluster_secret({"RAY_AUTH_TOKEN_PATH": str(elsewhere)}, tmp_path / "none")

    assert shared == by_variable == by_file
    assert "token" not in shared
    assert _SAFE.fullmatch(shared)
    assert cluster_secret({"RAY_AUTH_TOKEN": "other"}, tmp_path) != shared
    assert cluster_secret({}, tmp_path / "none") != cluster_secret({}, tmp_path / "none"), "nobody can know it"


def test_what_is_behind_haproxy_gets_the_ports_of_its_gateway_and_no_others(tmp_path: Path) -> None:
    variables = ray_environment(tmp_path, 10.0, PORTS)

    assert variables["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"] == "12000"
    assert variables["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"] == "12194"
    assert variables["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"] == "12195"
    assert variables["RAY_SERVE_FALLBACK_PROXY_GRPC_PORT"] == "12196"


@with_haproxy
def test_all_files_of_haproxy_are_in_the_folder_of_the_run(tmp_path: Path) -> None:
    variables = ray_environment(tmp_path, 10.0, PORTS)

    paths = [value for name, value in variables.items() if name.startswith("RAY_SERVE_HAPROXY") and "/" in value]
    assert len(paths) == 6
    assert all(Path(path).is_relative_to(tmp_path) for path in paths)


@with_haproxy
def test_the_statistics_of_haproxy_have_ports_of_the_gateway_that_nothing_else_has(tmp_path: Path) -> None:
    alone, clustered = (ray_environment(tmp_path, 10.0, PORTS, cluster=cluster) for cluster in (False, True))

    named = {name: int(value) for name, value in alone.items() if name.endswith("_PORT")}
    assert len(set(named.values())) == len(named) == 6
    assert set(named.values()) <= set(PORTS)
    of_cluster = {name: int(value) for name, value in clustered.items() if name.endswith("_PORT")}
    assert of_cluster.keys() == {"RAY_SERVE_HAPROXY_METRICS_PORT", "RAY_SERVE_HAPROXY_STATS_PORT"}
    assert of_cluster.items() <= named.items()


@with_haproxy
@pytest.mark.parametrize(("drain", "seconds"), [(0.0, "1"), (0.2, "1"), (10.0, "10"), (2.6, "3")])
def test_haproxy_ends_in_whole_seconds_and_never_in_none(tmp_path: Path, drain: float, seconds: str) -> None:
    assert ray_environment(tmp_path, drain, PORTS)["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"] == seconds


@with_haproxy
def test_the_binary_given_to_serve_is_haproxy_and_for_this_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "with a 'quote"
    folder.mkdir()

    binary = Path(ray_environment(folder, 10.0, PORTS)["RAY_SERVE_HAPROXY_BINARY_PATH"])
    said = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=20, check=True)

    assert binary.stat().st_mode & 0o777 == 0o700
    assert said.stdout.startswith("HAProxy version")
