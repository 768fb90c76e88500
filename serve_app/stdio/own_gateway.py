"""A gateway started for one client that can only start a program; it ends when that client is gone."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

import serve_app
from actors.transports.guardian import Order
from actors.transports.launch import Launch
from actors.transports.owned_process import OwnedProcess
from serve_app.health import LIVE
from serve_app.stdio import gateway_keeper
from serve_app.stdio.endpoint import TOKEN_VARIABLE, GatewayGone

HOST: Final = "127.0.0.1"
PROBE_SECONDS: Final = 2.0
READY: Final = b"ready http"
"""In the line which `only1mcp run` prints once it serves."""
READY_SECONDS: Final = 120.0
"""How long a start may take: its servers may have to be fetched from a registry."""
TERM_SECONDS: Final = 25.0
"""From the wish that it ends to the end by force; it lets running calls finish, and its Ray ends in some seconds."""
MAX_PARTIAL: Final = 4096


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def is_running(endpoint: str) -> bool:
    """Whether a gateway of ours answers where this endpoint should be."""
    url = URL(endpoint).with_query(None)
    live = url.with_path(url.path.removesuffix("/mcp") + LIVE)
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(live, allow_redirects=False) as response,
        ):
            return response.status == 200 and (await response.json()).get("status") == "live"
    except (aiohttp.ClientError, OSError, ValueError, AttributeError):  # nobody there, or somebody else
        return False


class OwnGateway:
    """`only1mcp run` in a process of its own, with the processes that it starts. Made and used in one event loop.

    What it prints goes to `print_bytes`. It ends with us, however we end, and keeps nothing: each is on another port,
    so no later one would find what it kept, and two of one configuration would use one `state_file` at once.
    """

    def __init__(
        self, config: Path, port: int, print_bytes: Callable[[bytes], None], environ: Mapping[str, str]
    ) -> None:
        self.ended = asyncio.Event()
        """Set once it is over without our wish, or could not start."""
        self._launch = _launch(config, port, environ)
        self._print = print_bytes
        self._partial = b""
        self._reason: str | None = None
        self._settled = asyncio.Event()
        self._process = OwnedProcess(
            "gateway",
            on_stdout=self._on_stdout,
            on_stderr=print_bytes,
            on_ended=self._on_ended,
            term_seconds=TERM_SECONDS,
        )

    async def start(self) -> None:
        """Start the process; whether it will serve, `ready` tells."""
        try:
            await self._process.start(self._launch)
        except OSError as error:
            self._on_ended(f"could not be started: {error}")

    async def ready(self) -> None:
        """Return when it serves.

        Raises:
            GatewayGone: it ended, or did not serve in time.
        """
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._settled.wait()
        except TimeoutError:
            raise GatewayGone(f"it did not start within {READY_SECONDS:g} s") from None
        if self._reason is not None:
            raise GatewayGone(f"it {self._reason}; the reason is on the standard error of this command")

    async def stop(self) -> None:
        """End it with all its processes. Bounded; if we end before it, it ends all the same."""
        await self._process.stop(0.0)

    def _on_stdout(self, data: bytes) -> None:
        self._print(data)
        if self._settled.is_set():
            return
        *lines, rest = (self._partial + data).split(b"\n")
        self._partial = rest[-MAX_PARTIAL:]
        if any(READY in line for line in lines):
            self._settled.set()

    def _on_ended(self, reason: str) -> None:
        self._reason = reason
        self._settled.set()
        self.ended.set()


def _launch(config: Path, port: int, environ: Mapping[str, str]) -> Launch:
    """`only1mcp run` with this package, whatever lies in the working directory."""
    home = str(Path(serve_app.__file__).parents[1])
    path = os.pathsep.join([home, *filter(None, [environ.get("PYTHONPATH")])])
    env = {name: value for name, value in environ.items() if name != TOKEN_VARIABLE} | {"PYTHONPATH": path}
    keeper = [sys.executable, "-I", "-S", gateway_keeper.__file__]
    command = [*keeper, sys.executable, "-P", "-m", "serve_app.cli.main", "run"]
    place = ["--config", str(config), "--host", HOST, "--port", str(port)]
    arguments = [*place, "--no-state", "--plain", "--no-dashboard"]
    return Launch(
        Order(
            path=os.fsencode(sys.executable),
            argv=[os.fsencode(word) for word in (*command, *arguments)],
            env={os.fsencode(name): os.fsencode(value) for name, value in env.items()},
        ),
        None,
    )
