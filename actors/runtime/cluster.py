"""The Ray that the gateway runs on: started or joined, and what this process is on it."""

import logging
from typing import Final

import ray

from actors.core.needs import zone_of
from actors.socket_folder import new_socket

NAMESPACE: Final = "only1mcp"
"""The Ray namespace of all our actors."""

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


def cluster_cpus() -> float:
    """The CPUs of all nodes that are there now."""
    return float(ray.cluster_resources().get("CPU", 0.0))


def own_zone() -> str:
    """Where the node of this process is, if its labels say so (`actors.core.needs.ZONE_LABELS`), else empty."""
    return zone_of(ray.get_runtime_context().get_node_labels())


def listening_addresses(*, spread: bool) -> tuple[str, str | None]:
    """Where a process of the gateway listens on the bus: for its own node, and for others if it is `spread`.

    Raises:
        OSError: there is no folder for sockets that is ours alone.
    """
    return new_socket(), f"tcp:{ray.util.get_node_ip_address()}:0" if spread else None
