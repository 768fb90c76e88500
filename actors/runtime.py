"""Starts and finds actors. Ray is told about them here and nowhere else, and every Ray option stands here."""

import asyncio
import functools
import logging
import os
import random
import secrets
import threading
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import ray
import structlog
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors import logs
from actors.audit import Audit, Sink
from actors.audit_file import AuditFile
from actors.backend import Backend
from actors.connect import connections
from actors.core.audit_settings import AuditSettings
from actors.core.auth_settings import AuthSettings
from actors.core.identity import VERSION
from actors.core.membership import ReplicaKey
from actors.core.needs import PLACEABLE_BYTES, Node, of_replica, packed_on, ray_options, zone_of
from actors.core.packing import SHARED
from actors.core.settings import BackendSettings, Naming, ServerSettings
from actors.core.tokens.own_issuer import OwnIssuer
from actors.credentials.stated import StatedSubjects
from actors.garbage import calm_collector
from actors.host import BackendHost, Holding
from actors.memory import Memory
from actors.metrics import Metrics
from actors.otlp import Otlp
from actors.refs.audit import AuditRef
from actors.refs.backend import BackendRef
from actors.refs.gone import ActorGone
from actors.refs.host import HostRef
from actors.refs.metrics import MetricsRef
from actors.refs.router import RouterRef
from actors.refs.vault import VaultRef
from actors.router import Router
from actors.socket_folder import new_socket
from actors.store import open_store
from actors.syslog import Syslog
from actors.vault import Vault
from actors.vault_file import open_vault

log = structlog.get_logger()

NAMESPACE: Final = "only1mcp"
"""The Ray namespace of all our actors."""

ROUTER: Final = "Router"
METRICS: Final = "Metrics"
AUDIT: Final = "Audit"
VAULT: Final = "Vault"

ALONE: Final = "Backend"
"""What the names of processes begin with that hold one Backend; for those that hold several see `Packing`."""

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


def start_ray(*, dashboard: bool = True) -> str:
    """Start a Ray of our own on this machine; gives the address of its dashboard, if it has one.

    Called from the main thread: Ray's processes end with the thread that started them.
    """
    context = ray.init(
        address="local",
        namespace=NAMESPACE,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=dashboard,
        dashboard_host="127.0.0.1",
        logging_level=logging.WARNING,
    )
    return str(context.dashboard_url or "")


def join_ray(address: str) -> str:
    """Join a running cluster; gives the address of its dashboard."""
    context = ray.init(address=address, namespace=NAMESPACE, logging_level=logging.WARNING)
    return str(context.dashboard_url)


def stop_ray() -> None:
    """End the Ray that `start_ray` started, or leave the cluster that was joined."""
    ray.shutdown()


class RouterActor(Router):
    """The Router in its own process."""

    def __init__(self, naming: Naming, log_format: str, server: ServerSettings, state_file: Path | None) -> None:
        logs.configure(log_format)
        memory = Memory(open_store(state_file))
        generation = uuid.uuid4().hex
        super().__init__(None, naming, generation=generation, metrics=find_metrics(), server=server, memory=memory)


class MetricsActor(Metrics):
    """Metrics in its own process."""

    def __init__(self, log_format: str) -> None:
        logs.configure(log_format)
        super().__init__(version=VERSION)

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return METRICS


class AuditActor(Audit):
    """The Audit in its own process."""

    def __init__(self, settings: AuditSettings, path: Path, log_format: str) -> None:
        logs.configure(log_format)
        clock = functools.partial(datetime.now, UTC)
        file = AuditFile(path, max_bytes=settings.max_bytes, keep_files=settings.keep_files, clock=clock)
        sinks: list[Sink] = [] if settings.syslog is None else [Syslog(settings.syslog)]
        if settings.otlp_url is not None:
            sinks.append(Otlp(settings.otlp_url, os.environ))
        super().__init__(file, sinks, settings.sync)

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return AUDIT


class VaultActor(Vault):
    """The Vault in its own process."""

    def __init__(self, auth: AuthSettings, own: OwnIssuer, secret: bytes, path: Path | None, log_format: str) -> None:
        logs.configure(log_format)
        open_file = functools.partial(open_vault, path)
        super().__init__(auth, own, secret, open_file, find_router, generation=uuid.uuid4().hex)


class BackendActor(BackendHost):
    """A process of Backends. It begins by itself what it shall hold: after a restart nobody else would tell it to."""

    def __init__(self, name: str, holding: Holding | None, secret: bytes, log_format: str, *, spread: bool) -> None:
        """`holding` is the only one it will hold; without, it holds what others tell it, and the Router remembers."""
        self._name = name  # first of all: Ray asks an actor whose construction fails for its name, too
        self._only = holding
        logs.configure(log_format)
        super().__init__(functools.partial(_backend, secret=secret, router=find_router(), spread=spread))
        calm_collector()
        if holding is not None or _is_second_life():
            threading.Thread(target=_begin, args=(name,), name="begin", daemon=True).start()

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return self._name

    async def begin_all(self) -> None:
        """See `BackendHost.recover`."""
        await self.recover(self._holdings)

    async def _holdings(self) -> Sequence[Holding]:
        return (self._only,) if self._only is not None else await find_router().holdings(self._name)


def _is_second_life() -> bool:
    """Whether Ray has started this actor again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own code uses there what Ray calls deprecated
        return bool(ray.get_runtime_context().was_current_actor_reconstructed)


def _backend(
    key: ReplicaKey, settings: BackendSettings, slot: int, *, secret: bytes, router: RouterRef, spread: bool
) -> Backend:
    made, weight = of_replica(settings, slot)
    connect, connect_as = connections(made, StatedSubjects(find_vault))
    return Backend(
        made,
        key,
        epoch=uuid.uuid4().hex,
        node=ray.get_runtime_context().get_node_id(),
        secret=secret,
        addresses=listening_addresses(spread=spread),
        router=router,
        connect=connect,
        connect_as=connect_as,
        dice=random.SystemRandom().random,
        weight=weight,
        zone=own_zone(),
    )


def _begin(name: str) -> None:
    """Tell the actor of this process to begin, as soon as Ray lets it be called.

    From a thread, because Ray loses what the constructor of a restarted actor says to its own actor.
    """
    while True:
        try:
            _find(name).begin_all.remote().future().result()
        except (RayError, ActorGone) as error:
            log.warning("backend_not_begun", actor=name, reason=type(error).__name__)
            time.sleep(BEGIN_PAUSE)
        else:
            return


def start_metrics(log_format: str) -> MetricsRef:
    """Start the Metrics actor."""
    actor = ray.remote(**ACTOR_OPTIONS | _near(), name=METRICS)(MetricsActor)
    return MetricsRef(actor.remote(log_format))


def start_audit(settings: AuditSettings, path: Path, log_format: str) -> AuditRef:
    """Start the Audit, which writes to `path` on the machine of the command. Its key must be there."""
    actor = ray.remote(**ACTOR_OPTIONS | _near(), name=AUDIT)(AuditActor)
    return AuditRef(actor.remote(settings, path, log_format))


def start_vault(auth: AuthSettings, own: OwnIssuer, secret: bytes, path: Path | None, log_format: str) -> VaultRef:
    """Start the Vault, which keeps what it owns at `path` on the machine of the command, or in memory.

    `secret` is the gateway's.
    """
    actor = ray.remote(**ACTOR_OPTIONS | _near(), name=VAULT)(VaultActor)
    return VaultRef(actor.remote(auth, own, secret, path, log_format))


def start_router(naming: Naming, log_format: str, server: ServerSettings, state_file: Path | None = None) -> RouterRef:
    """Start the Router; Metrics must have been started. It waits for `RouterRef.adopt`.

    `state_file` is where it keeps what outlives the gateway, on the machine that it runs on.
    """
    actor = ray.remote(**ACTOR_OPTIONS | _near(), name=ROUTER)(RouterActor)
    return RouterRef(actor.remote(naming, log_format, server, state_file))


def _near() -> dict[str, Any]:
    """Options for what the whole gateway needs: on the node of the command, with which all ends, and on no other."""
    node = ray.get_runtime_context().get_node_id()
    # an actor without resources that may be elsewhere is put anywhere
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def start_backend(
    settings: BackendSettings,
    key: ReplicaKey,
    secret: bytes,
    log_format: str,
    *,
    spread: bool,
    slot: int = 0,
    host: HostRef | None = None,
) -> BackendRef:
    """Start the actor of one replica, or leave it to `host`; the Router must have been started.

    `spread` says that ingress replicas may be on other nodes; `slot` is as in `BackendSettings.of_slot`. One in a host
    is there after `BackendRef.begin`; the Router should know before that who houses it (`RouterRef.house`).

    Raises:
        ValueError: Ray does not take what its settings want of it.
    """
    if host is not None:
        return BackendRef(key, host.handle, settings, slot, shared=True)
    name = f"{ALONE}:{key}"
    options = ray_options(settings)
    if settings.placement.strategy == "pack":
        options = _packed(options, spread=spread)
    actor = ray.remote(**ACTOR_OPTIONS | options, name=name)(BackendActor)
    handle = actor.remote(name, (key, settings, slot), secret, log_format, spread=spread)
    return BackendRef(key, handle, settings, slot)


def start_host(name: str, secret: bytes, log_format: str, *, spread: bool) -> HostRef:
    """Start a process that several Backends will share; `name` is from `Packing.place`, the rest as above."""
    actor = ray.remote(**ACTOR_OPTIONS | _packed({}, spread=spread), name=name)(BackendActor)
    return HostRef(name, actor.remote(name, None, secret, log_format, spread=spread))


def _packed(options: dict[str, Any], *, spread: bool) -> dict[str, Any]:
    """The options, and with them a node for what is to be packed, where there may be several."""
    node = packed_on(options, _nodes()) if spread else None
    if node is None:
        return options
    # elsewhere if the node is gone by then
    affinity = NodeAffinitySchedulingStrategy(node, soft=True, _spill_on_unavailable=True)
    return options | {"memory": PLACEABLE_BYTES, "scheduling_strategy": affinity}


def _nodes() -> list[Node]:
    """All that live, our own first."""
    # Ray's public list of actors needs its dashboard, which a cluster may not have
    actors = ray._private.state.actors(actor_state_name="ALIVE").values()  # noqa: SLF001
    processes = Counter(actor["Address"]["NodeID"] for actor in actors if actor["Name"].startswith(ALONE))
    own = ray.get_runtime_context().get_node_id()
    living = sorted((node for node in ray.nodes() if node["Alive"]), key=lambda node: node["NodeID"] != own)
    return [
        Node(node["NodeID"], node["Resources"].get("CPU", 0.0), node["Labels"], processes[node["NodeID"]])
        for node in living
    ]


async def find_backend(key: ReplicaKey) -> BackendRef:
    """A running Backend, wherever it is. It can be talked to, and not begun.

    Raises:
        ActorGone: there is none, or its process does not answer.
    """
    with suppress(ActorGone):
        return BackendRef(key, _find(f"{ALONE}:{key}"))
    names = await asyncio.to_thread(ray.util.list_named_actors, all_namespaces=True)
    shared = [each["name"] for each in names if each["namespace"] == NAMESPACE and each["name"].startswith(SHARED)]
    hosts = [HostRef(name, _find(name)) for name in shared]
    held = await asyncio.gather(*(host.holds(key) for host in hosts), return_exceptions=True)
    for host, holds in zip(hosts, held, strict=True):
        if holds is True:
            return BackendRef(key, host.handle, shared=True)
    raise ActorGone(str(key))


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


def find_vault() -> VaultRef:
    """The running Vault.

    Raises:
        ActorGone: there is none.
    """
    return VaultRef(_find(VAULT))


def find_audit() -> AuditRef:
    """The running Audit.

    Raises:
        ActorGone: there is none.
    """
    return AuditRef(_find(AUDIT))


def cluster_cpus() -> float:
    """The CPUs of all nodes that are there now."""
    return float(ray.cluster_resources().get("CPU", 0.0))


def own_zone() -> str:
    """Where the node of this process is, if its labels say so (`actors.core.needs.ZONE_LABELS`), else empty."""
    return zone_of(ray.get_runtime_context().get_node_labels())


def new_secret() -> bytes:
    """The secret with which both ends of a link prove that they belong to one gateway."""
    return secrets.token_bytes(32)


def listening_addresses(*, spread: bool) -> tuple[str, str | None]:
    """Where a process of the gateway listens on the bus: for its own node, and for others if it is `spread`.

    Raises:
        OSError: there is no folder for sockets that is ours alone.
    """
    return new_socket(), f"tcp:{ray.util.get_node_ip_address()}:0" if spread else None


def _find(name: str) -> Any:
    try:
        return ray.get_actor(name, NAMESPACE)
    except ValueError as error:
        raise ActorGone(name) from error
