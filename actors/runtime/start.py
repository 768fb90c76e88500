"""Starts actors. Every option that Ray is given for them stands here."""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.core.audit_settings import AuditSettings
from actors.core.auth_settings import AuthSettings
from actors.core.membership import ReplicaKey
from actors.core.needs import PLACEABLE_BYTES, Node, packed_on, ray_options
from actors.core.settings import BackendSettings, Naming, ServerSettings
from actors.core.tokens.own_issuer import OwnIssuer
from actors.refs.audit import AuditRef
from actors.refs.backend import BackendRef
from actors.refs.host import HostRef
from actors.refs.metrics import MetricsRef
from actors.refs.router import RouterRef
from actors.refs.vault import VaultRef
from actors.runtime.cluster import NAMESPACE
from actors.runtime.find import ALONE, AUDIT, METRICS, ROUTER, VAULT
from actors.runtime.processes import AuditActor, BackendActor, MetricsActor, RouterActor, VaultActor

FOREVER: Final = -1

ACTOR_OPTIONS: Final[dict[str, Any]] = {
    "num_cpus": 0,  # an actor waits more than it computes, and none may keep another from starting
    "max_restarts": FOREVER,
    "max_task_retries": 0,  # a repeated control call is asked for by whoever needs it, never by Ray
    "max_concurrency": 1000,
    "namespace": NAMESPACE,
}
"""Not detached: they belong to the command that started them, and go when it goes, however it goes."""


def start_metrics(log_format: str) -> MetricsRef:
    """Start the Metrics actor."""
    actor = ray.remote(**ACTOR_OPTIONS | _near(), name=METRICS)(MetricsActor)
    return MetricsRef(actor.remote(log_format))


def start_audit(settings: AuditSettings, path: Path, log_format: str) -> AuditRef:
    """Start the Audit, which writes to `path` on the machine of the command. Its key must be there."""
    actor = ray.remote(**ACTOR_OPTIONS | _near(), name=AUDIT)(AuditActor)
    return AuditRef(actor.remote(settings, path, log_format))


def start_vault(
    auth: AuthSettings | None, own: OwnIssuer, secret: bytes, path: Path | None, log_format: str
) -> VaultRef:
    """Start the Vault, which keeps what it owns at `path` on the machine of the command, or in memory.

    `secret` is the gateway's.
    """
    actor = ray.remote(**ACTOR_OPTIONS | _near(), name=VAULT)(VaultActor)
    return VaultRef(actor.remote(auth, own, secret, path, log_format))


def start_router(
    naming: Naming,
    log_format: str,
    server: ServerSettings,
    state_file: Path | None = None,
    audit: AuditSettings | None = None,
    audit_key: bytes = b"",
) -> RouterRef:
    """Start the Router; Metrics must have been started. It waits for `RouterRef.adopt`.

    `state_file` is where it keeps what outlives the gateway, on the machine that it runs on. `audit` says how it has
    what it sees written into the audit, if there is one, and `audit_key` is as for `Diary`.
    """
    actor = ray.remote(**ACTOR_OPTIONS | _near(), name=ROUTER)(RouterActor)
    return RouterRef(actor.remote(naming, log_format, server, state_file, audit, audit_key))


def start_backend(
    settings: BackendSettings,
    key: ReplicaKey,
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
    handle = actor.remote(name, (key, settings, slot), log_format, spread=spread)
    return BackendRef(key, handle, settings, slot)


def start_host(name: str, log_format: str, *, spread: bool) -> HostRef:
    """Start a process that several Backends will share; `name` is from `Packing.place`, the rest as above."""
    actor = ray.remote(**ACTOR_OPTIONS | _packed({}, spread=spread), name=name)(BackendActor)
    return HostRef(name, actor.remote(name, None, log_format, spread=spread))


def _near() -> dict[str, Any]:
    """Options for what the whole gateway needs: on the node of the command, with which all ends, and on no other."""
    node = ray.get_runtime_context().get_node_id()
    # an actor without resources that may be elsewhere is put anywhere
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


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
