"""What a backend wants of the process that its replicas run in, and of the node of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from actors.core.endpoints import StdioEndpoint
from actors.core.packing import PROCESSES_PER_CPU
from actors.core.settings import BackendSettings

ZONE_LABELS: Final = ("topology.kubernetes.io/zone", "ray.io/availability-zone", "only1mcp-zone")
"""Labels of a node that say where it is; the first it has counts."""

PLACEABLE_BYTES: Final = 1
"""Memory that an actor wants which is to be spread, or to be on a certain node: Ray puts one that wants nothing on any
node, whatever its strategy is. A byte keeps nobody from starting, as part of a CPU would whoever wants them all."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster, as far as it matters for who goes there."""

    id: str
    cpus: float
    labels: Mapping[str, str]
    processes: int
    """Of Backends, those that run there."""


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
        options.setdefault("memory", PLACEABLE_BYTES)
    if settings.placement.labels:
        options["label_selector"] = dict(settings.placement.labels)
    return options


def packed_on(options: Mapping[str, Any], nodes: Sequence[Node]) -> str | None:
    """The node for one more process that is to be packed: the fullest that has room and the labels in these options.

    Of equal ones the first. There is room for `PROCESSES_PER_CPU`, and none where Ray is given no CPU. Nothing if there
    is no such node, or if resources are wanted: Ray places that where it fits, the node of the command first, and adds
    no node for what is pending if one was named to it (measured).
    """
    if any(options.get(name) for name in ("num_cpus", "num_gpus", "memory", "resources")):
        return None
    labels = options.get("label_selector", {})
    roomy = [
        node for node in nodes if node.processes < int(node.cpus) * PROCESSES_PER_CPU and _selects(labels, node.labels)
    ]
    return max(roomy, key=lambda node: node.processes).id if roomy else None


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


def _selects(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether labels are as wanted, in the words of Ray: `v`, `!v`, `in(v,w)` and `!in(v,w)`."""
    return all((labels.get(name) in _values(words)) != words.startswith("!") for name, words in wanted.items())


def _values(words: str) -> Sequence[str]:
    words = words.removeprefix("!")
    if not (words.startswith("in(") and words.endswith(")")):
        return (words,)
    return [value.strip() for value in words[len("in(") : -1].split(",")]
