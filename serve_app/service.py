"""The gateway as an application of Ray Serve, for those who can only deploy such: KubeRay's RayService is one.

The application is one replica that keeps the command `only1mcp run` running on its cluster. The command starts the
gateway itself, as an application beside this one.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Any, Final

import httpx
import ray
from ray import serve

HOST: Final = "0.0.0.0"  # noqa: S104 - a service is for others, and the command insists on authentication then
PORT: Final = 8000
"""Where Serve listens on every node; KubeRay's services expect it there."""

START_SECONDS: Final = 600.0
"""Until the gateway answers."""

READY_SECONDS: Final = 120.0
"""How much longer it is waited for until any backend is up; with none up the gateway serves all the same."""

KNOCK_SECONDS: Final = 0.5

TETHER: Final = """exec 3<&0
"$@" </dev/null 3<&- & command=$!
(cat <&3 >/dev/null; kill -TERM $command 2>/dev/null) &
exec 3<&-
wait $command"""
"""A shell's script that ends the command when its own input ends: however we end, the command ends, too."""


class Command:
    """Owns the command. Serve starts another one in place of one that has ended."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, config: str, port: int = PORT, host: str = HOST
    ) -> None:
        """`config` is a file on the node that this runs on.

        Raises:
            RuntimeError: the command ended before the gateway answered; the log of this replica has what it said.
            TimeoutError: the gateway does not answer.
        """
        address = ray.get_runtime_context().gcs_address
        run = ("run", "--address", address, "--config", config, "--host", host, "--port", str(port))
        words = (sys.executable, "-m", "serve_app.cli.main", *run)
        self._process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", TETHER, "only1mcp", *words, stdin=asyncio.subprocess.PIPE
        )
        health = f"http://127.0.0.1:{port}/health"
        async with asyncio.timeout(START_SECONDS):
            await self._until_answered(f"{health}/live")
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                await self._until_answered(f"{health}/ready")

    def check_health(self) -> None:
        """Serve asks again and again.

        Raises:
            RuntimeError: the command has ended.
        """
        if self._process.returncode is not None:
            raise RuntimeError(f"only1mcp ended with code {self._process.returncode}")

    async def __del__(self) -> None:
        """Serve calls this when the replica shall end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()

    async def _until_answered(self, url: str) -> None:
        while not await _answers(url):
            self.check_health()
            await asyncio.sleep(KNOCK_SECONDS)


def gateway(arguments: dict[str, Any]) -> serve.Application:
    """The application; its arguments are those of `Command`."""
    command = serve.deployment(
        Command,
        name="command",
        num_replicas=1,
        ray_actor_options={"num_cpus": 0},
        health_check_period_s=5.0,
        graceful_shutdown_timeout_s=60.0,
    )
    return command.bind(**arguments)


async def _answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            return (await client.get(url, headers={"host": "localhost"})).status_code == 200
    except httpx.HTTPError:
        return False
