"""The actors of a test's own Ray, as its dashboard lists them: their names, their processes, and a way to kill one.

No test connects to that Ray itself: a driver too many would show, and one that found another Ray could do harm there.
"""

import os
import re
import secrets
import signal
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.support.gateway_process import GatewayProcess
from tests.support.processes import eventually

TOKEN: Final = secrets.token_hex(32)
ENVIRON: Final = {"RAY_AUTH_TOKEN": TOKEN}
"""For the Ray of a test: what its dashboard wants to hear, unlike that of any other Ray on the machine."""

NAMESPACE: Final = "only1mcp"

INGRESS: Final = "ServeReplica:only1mcp:ingress"
AUTH: Final = "ServeReplica:only1mcp:auth"
"""Serve names each replica anew; its kind stays."""

CONTROLLER: Final = "ServeController"

_DASHBOARD: Final = re.compile(r"Ray dashboard at (http://\S+)")


@dataclass(frozen=True)
class Actor:
    """One that lives."""

    name: str
    kind: str
    namespace: str
    pid: int
    restarts: int
    node: str = ""

    def kill(self) -> None:
        """End its process in the way nothing can prepare for."""
        os.kill(self.pid, signal.SIGKILL)


class Actors:
    """Reads the list of actors."""

    def __init__(self, dashboard: str) -> None:
        self._dashboard = dashboard

    async def alive(self) -> list[Actor]:
        """All that live at this moment."""
        page = await self._page("/api/v0/actors", detail=1, limit=1000)
        return [_actor(entry) for entry in page["data"]["result"]["result"] if entry["state"] == "ALIVE"]

    async def in_service(self, deployment: str) -> int:
        """How many replicas of a deployment Serve sends requests to."""
        deployments = (await self._page("/api/serve/applications/"))["applications"][NAMESPACE]["deployments"]
        return sum(replica["state"] == "RUNNING" for replica in deployments[deployment]["replicas"])

    async def of(self, name: str) -> list[Actor]:
        """Those of this name or kind."""
        return [actor for actor in await self.alive() if name in (actor.name, actor.kind)]

    async def one(self, name: str) -> Actor:
        """The only one of this name or kind."""
        (actor,) = await self.of(name)
        return actor

    async def back(self, killed: Actor, seconds: float = 60.0) -> Actor:
        """Wait until a killed one lives in another process; gives that.

        Raises:
            AssertionError: it does not within `seconds`.
        """

        async def lives_again() -> bool:
            return any(actor.pid != killed.pid for actor in await self.of(killed.name))

        await eventually(lives_again, seconds)
        return await self.one(killed.name)

    async def _page(self, path: str, **params: int) -> Any:
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}, timeout=20.0) as client:
            page = await client.get(f"{self._dashboard}{path}", params=params)
        page.raise_for_status()
        return page.json()


def actors_of(running: GatewayProcess) -> Actors:
    """The actors on the Ray of this gateway."""
    found = _DASHBOARD.search(running.output())
    assert found is not None, running.output()
    return Actors(found[1])


def _actor(entry: dict[str, Any]) -> Actor:
    return Actor(
        entry["name"],
        entry["class_name"],
        entry["ray_namespace"],
        int(entry["pid"]),
        int(entry["num_restarts"]),
        entry["node_id"],
    )
