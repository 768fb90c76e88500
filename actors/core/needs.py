"""What a backend wants of the process that its replicas run in, and of the node of that."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from actors.core.endpoints import StdioEndpoint
from actors.core.settings import BackendSettings

ZONE_LABELS: Final = ("topology.kubernetes.io/zone", "ray.io/availability-zone", "only1mcp-zone")
"""Labels of a node that say where it is; the first it has counts."""

SPREADABLE_CPUS: Final = 0.001
"""What an actor wants that is to be spread: one that wants nothing is put on any node, whatever its strategy is."""


def ray_options(settings: BackendSettings) -> dict[str, Any]:
    """The options of Ray's for the process of a replica; none for a backend that wants nothing."""
    options: dict[str, Any] = {}
    if settings.resources is not None:
        wanted = settings.resources
        options |= {"num_cpus": wanted.num_cpus, "num_gpus": wanted.num_gpus, "resources": dict(wanted.custom)}
        if wanted.memory:
            options["memory"] = wanted.memory
    if settings.runtime_env:
        options["runtime_env"] = dict(settings.runtime_env)
    if settings.placement.strategy == "spread":
        options["scheduling_strategy"] = "SPREAD"
        options["num_cpus"] = options.get("num_cpus") or SPREADABLE_CPUS
    if settings.placement.labels:
        options["label_selector"] = dict(settings.placement.labels)
    return options


def of_replica(settings: BackendSettings, slot: int) -> tuple[BackendSettings, float]:
    """What the replica in a slot is made from, and its weight.

    A server over stdio sees the variables of the `runtime_env` of its process, and its own on top: of the rest of that
    process's environment it sees a short list only.
    """
    settings, weight = settings.of_slot(slot)
    variables: Mapping[str, str] = settings.runtime_env.get("env_vars", {})
    if variables and isinstance(settings.endpoint, StdioEndpoint):
        env = {**variables, **settings.endpoint.env}
        settings = replace(settings, endpoint=replace(settings.endpoint, env=env))
    return settings, weight


def zone_of(labels: Mapping[str, str]) -> str:
    """Where a node of these labels is; empty if they do not say."""
    return next((labels[name] for name in ZONE_LABELS if labels.get(name)), "")
