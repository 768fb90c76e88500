"""Finds actors that run, wherever they are."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import ray

from actors.core.membership import ReplicaKey
from actors.core.packing import SHARED
from actors.refs.audit import AuditRef
from actors.refs.backend import BackendRef
from actors.refs.gone import ActorGone
from actors.refs.host import HostRef
from actors.refs.metrics import MetricsRef
from actors.refs.router import RouterRef
from actors.refs.vault import VaultRef
from actors.runtime.cluster import NAMESPACE

ROUTER: Final = "Router"

METRICS: Final = "Metrics"

AUDIT: Final = "Audit"

VAULT: Final = "Vault"

ALONE: Final = "Backend"
"""What the names of processes begin with that hold one Backend; for those that hold several see `Packing`."""


async def find_backend(key: ReplicaKey) -> BackendRef:
    """A running Backend, wherever it is. It can be talked to, and not begun.

    Raises:
        ActorGone: there is none, or its process does not answer.
    """
    with suppress(ActorGone):
        return BackendRef(key, find_actor(f"{ALONE}:{key}"))
    names = await asyncio.to_thread(ray.util.list_named_actors, all_namespaces=True)
    shared = [each["name"] for each in names if each["namespace"] == NAMESPACE and each["name"].startswith(SHARED)]
    hosts = [HostRef(name, find_actor(name)) for name in shared]
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
    return RouterRef(find_actor(ROUTER))


def find_metrics() -> MetricsRef:
    """The running Metrics actor.

    Raises:
        ActorGone: there is none.
    """
    return MetricsRef(find_actor(METRICS))


def find_vault() -> VaultRef:
    """The running Vault.

    Raises:
        ActorGone: there is none.
    """
    return VaultRef(find_actor(VAULT))


def find_audit() -> AuditRef:
    """The running Audit.

    Raises:
        ActorGone: there is none.
    """
    return AuditRef(find_actor(AUDIT))


def find_actor(name: str) -> Any:
    """Ray's handle of the running actor with this name.

    Raises:
        ActorGone: there is none.
    """
    try:
        return ray.get_actor(name, NAMESPACE)
    except ValueError as error:
        raise ActorGone(name) from error
