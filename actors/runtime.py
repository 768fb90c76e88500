"""Starts and finds actors. Ray is told about them here and nowhere else, and every Ray option stands here."""

import logging
import os
import random
import secrets
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import ray
import structlog
from ray.exceptions import RayError

from actors import logs
from actors.backend import Backend
from actors.connect import connect
from actors.core.identity import VERSION
from actors.core.membership import ReplicaKey
from actors.core.settings import BackendSettings, Naming, ServerSettings
from actors.garbage import calm_collector
from actors.leftovers import is_abandoned
from actors.metrics import Metrics
from actors.refs import ActorGone, BackendRef, MetricsRef, RouterRef
from actors.router import Router

log = structlog.get_logger()

NAMESPACE: Final = "only1mcp"
"""The Ray namespace of all our actors."""

ROUTER: Final = "Router"
METRICS: Final = "Metrics"

FOREVER: Final = -1

ACTOR_OPTIONS: Final[dict[str, Any]] = {
    "num_cpus": 0,  # an actor waits more than it computes, and none may keep another from starting
    "max_restarts": FOREVER,
    "max_task_retries": 0,  # a repeated control call is asked for by whoever needs it, never by Ray
    "max_concurrency": 1000,
    "namespace": NAMESPACE,
}
"""Not detached: they belong to the command that started them, and go when it goes, however it goes."""

BEGIN_PAUSE: Final = 0.5
"""Seconds before an actor that could not begin tries again."""

OBJECT_STORE_BYTES: Final = 128 * 1024 * 1024
"""Nothing of ours is an object of Ray's; its smallest store starts fastest."""


def start_ray() -> str:
    """Start a Ray of our own on this machine; gives the address of its dashboard.

    Called from the main thread: Ray's processes end with the thread that started them.
    """
    context = ray.init(
        address="local",
        namespace=NAMESPACE,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=True,
        logging_level=logging.WARNING,
    )
    return str(context.dashboard_url)


def join_ray(address: str) -> str:
    """Join a running cluster; gives the address of its dashboard."""
    context = ray.init(address=address, namespace=NAMESPACE, logging_level=logging.WARNING)
    return str(context.dashboard_url)


def stop_ray() -> None:
    """End the Ray that `start_ray` started, or leave the cluster that was joined."""
    ray.shutdown()


class RouterActor(Router):
    """The Router in its own process."""

    def __init__(
        self, backends: Sequence[BackendSettings], naming: Naming, log_format: str, server: ServerSettings | None
    ) -> None:
        logs.configure(log_format)
        super().__init__(backends, naming, generation=uuid.uuid4().hex, metrics=find_metrics(), server=server)


class MetricsActor(Metrics):
    """Metrics in its own process."""

    def __init__(self, log_format: str) -> None:
        logs.configure(log_format)
        super().__init__(version=VERSION)

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return METRICS


class BackendActor(Backend):
    """A Backend in a process of its own. It begins by itself: after a restart nobody else would tell it to."""

    def __init__(self, settings: BackendSettings, key: ReplicaKey, secret: bytes, log_format: str, *, spread: bool):
        self._key = key  # first of all: Ray asks an actor whose construction fails for its name, too
        logs.configure(log_format)
        context = ray.get_runtime_context()
        super().__init__(
            settings,
            key,
            epoch=uuid.uuid4().hex,
            node=context.get_node_id(),
            secret=secret,
            addresses=listening_addresses(spread=spread),
            router=find_router(),
            connect=connect,
            dice=random.SystemRandom().random,
        )
        calm_collector()
        threading.Thread(target=_begin, args=(f"Backend:{key}",), name="begin", daemon=True).start()


def _begin(name: str) -> None:
    """Tell the actor of this process to begin, as soon as Ray lets it be called.

    From a thread, because Ray loses what the constructor of a restarted actor says to its own actor.
    """
    while True:
        try:
            _find(name).begin.remote().future().result()
        except (RayError, ActorGone) as error:
            log.warning("backend_not_begun", actor=name, reason=type(error).__name__)
            time.sleep(BEGIN_PAUSE)
        else:
            return


def start_metrics(log_format: str) -> MetricsRef:
    """Start the Metrics actor."""
    actor = ray.remote(**ACTOR_OPTIONS, name=METRICS)(MetricsActor)
    return MetricsRef(actor.remote(log_format))


def start_router(
    backends: Sequence[BackendSettings], naming: Naming, log_format: str, server: ServerSettings | None = None
) -> RouterRef:
    """Start the Router; Metrics must have been started. `server` has the limits of sessions."""
    actor = ray.remote(**ACTOR_OPTIONS, name=ROUTER)(RouterActor)
    return RouterRef(actor.remote(tuple(backends), naming, log_format, server))


def start_backend(
    settings: BackendSettings, key: ReplicaKey, secret: bytes, log_format: str, *, spread: bool
) -> BackendRef:
    """Start the actor of one replica; the Router must have been started.

    `spread` says that ingress replicas may be on other nodes.
    """
    actor = ray.remote(**ACTOR_OPTIONS, name=f"Backend:{key}")(BackendActor)
    return BackendRef(key, actor.remote(settings, key, secret, log_format, spread=spread))


def find_router() -> RouterRef:
    """The running Router.

    Raises:
        ActorGone: there is none.
    """
    return RouterRef(_find(ROUTER))


def find_metrics() -> MetricsRef:
    """The running Metrics actor.

    Raises:
        ActorGone: there is none.
    """
    return MetricsRef(_find(METRICS))


def new_secret() -> bytes:
    """The secret with which both ends of a link prove that they belong to one gateway."""
    return secrets.token_bytes(32)


def listening_addresses(*, spread: bool) -> tuple[str, str | None]:
    """Where a process of the gateway listens on the bus: for its own node, and for others if it is `spread`.

    Raises:
        OSError: there is no folder for sockets that is ours alone.
    """
    return _socket_address(), f"tcp:{ray.util.get_node_ip_address()}:0" if spread else None


def _find(name: str) -> Any:
    try:
        return ray.get_actor(name, NAMESPACE)
    except ValueError as error:
        raise ActorGone(name) from error


def _socket_address() -> str:
    """A new socket in a folder that only we can enter; short, because a socket's path is limited to 107 bytes."""
    folder = Path(tempfile.gettempdir()) / f"only1mcp-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise PermissionError(f"{folder} does not belong to this user alone")
    for socket in folder.iterdir():
        if is_abandoned(socket, ""):
            socket.unlink(missing_ok=True)
    return f"unix:{folder}/{os.getpid()}-{secrets.token_hex(8)}.sock"
