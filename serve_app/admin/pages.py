"""What the admin API says of servers. Of an entry it shows what is reached, and nothing that may hold a secret."""

from typing import Final

import msgspec

from actors.core.load import Load
from actors.core.membership import ReplicaState, Status
from actors.core.server_state import ServerState

STATES: Final = (ReplicaState.UP, ReplicaState.STARTING, ReplicaState.DOWN, ReplicaState.DRAINING)
"""The first of these that a replica of a server is in is the state of the server."""


def server_page(server: ServerState) -> dict[str, object]:
    """One server with its replicas."""
    states = {status.state for status in server.replicas}
    page: dict[str, object] = {
        "name": server.name,
        "origin": server.origin,
        "state": next((state.value for state in STATES if state in states), "starting" if server.wanted else "idle"),
        "tools": server.tools,
        "wanted_replicas": server.wanted,
        "replicas": [_replica(status, load) for status, load in zip(server.replicas, server.loads, strict=True)],
    }
    if server.source:
        page["reached"] = _reached(msgspec.json.decode(server.source))
    return page


def _replica(status: Status, load: Load) -> dict[str, object]:
    return {
        "index": status.key.index,
        "state": status.state.value,
        "detail": status.detail,
        "breaker": load.breaker.value,
        "in_flight": load.in_flight,
        "waiting": load.waiting,
        "restarts": status.restarts,
        "node": status.node,
        "zone": status.zone,
        "weight": status.weight,
        "revision": status.facts.revision if status.facts else None,
    }


def _reached(entry: dict[str, object]) -> str:
    """The command without its arguments, or the URL without its query: secrets stand in those."""
    urls = entry.get("urls")
    first = urls[0] if isinstance(urls, list) and urls else entry.get("url", entry.get("command", ""))
    if isinstance(first, dict):
        first = first.get("url", "")
    return str(first).partition("?")[0]
