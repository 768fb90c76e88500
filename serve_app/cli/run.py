"""`only1mcp run`: the gateway in the foreground, from the first line to the last process."""

import asyncio
import dataclasses
import os
import signal
import socket
import sys
from pathlib import Path

import platformdirs
from rich.console import Console

from actors import logs
from actors.core.settings import Settings
from serve_app.cli.progress import Progress
from serve_app.config import ConfigError, check_exposure, demonstration, find, load


def run(config: Path | None, host: str | None, port: int | None, address: str | None) -> int:
    """Run until SIGINT or SIGTERM. Returns the exit code: 0, 1 if it could not start, 2 for the configuration."""
    progress = Progress(Console(file=sys.stdout, soft_wrap=True))
    try:
        settings = _settings(config, host, port, progress)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    objection = check_exposure(settings)
    if objection is not None:
        sys.stderr.write(f"only1mcp: {objection}\n")
        return 2
    if address is None and _is_taken(settings.server.host, settings.server.port):
        sys.stderr.write(
            f"only1mcp: port {settings.server.port} of {settings.server.host} is taken, perhaps by another only1mcp;"
            " stop that, or choose another with --port\n"
        )
        return 1
    logs.configure(settings.server.log_format)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until there is a loop, both end the same way
    try:
        return _run_on_ray(settings, address, progress)
    except KeyboardInterrupt:
        return 0


def _settings(config: Path | None, host: str | None, port: int | None, progress: Progress) -> Settings:
    path = find(config, Path.cwd(), Path(platformdirs.user_config_dir()))
    if path is None:
        progress.line("no configuration found: serving the demonstration server")
        settings = demonstration()
    else:
        loaded = load(path, os.environ)
        progress.line(f"configuration {path}")
        for note in loaded.notes:
            progress.line(note)
        settings = loaded.settings
    server = settings.server
    server = dataclasses.replace(server, host=host or server.host, port=port or server.port)
    return dataclasses.replace(settings, server=server)


def _is_taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
        return False


def _run_on_ray(settings: Settings, address: str | None, progress: Progress) -> int:
    # Ray and Serve read their environment when they are imported, and importing them takes a second
    from serve_app.environment import haproxy_available, ray_environment, with_our_variables
    from serve_app.run_folder import run_folder

    with run_folder() as folder:
        if address is None:
            with_our_variables(ray_environment(folder, settings.server.drain_seconds))
            if not haproxy_available():
                progress.line("no HAProxy for this machine: Serve's own proxy is used, which is slower")
        from actors.runtime import join_ray, start_ray, stop_ray

        with progress.step(f"joining the Ray at {address}" if address else "starting Ray"):
            dashboard = join_ray(address) if address else start_ray()
        progress.line(f"Ray dashboard at http://{dashboard}" if dashboard else "Ray runs without a dashboard")
        try:
            return asyncio.run(_serve(settings, progress, spread=address is not None))
        finally:
            stop_ray()


async def _serve(settings: Settings, progress: Progress, *, spread: bool) -> int:
    from serve_app.gateway import Gateway, StartFailed

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    gateway = Gateway(settings, progress, spread=spread)
    code = 0
    try:
        starting = asyncio.ensure_future(gateway.start())
        stopping = asyncio.ensure_future(stopped.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            statuses = starting.result()
            server = settings.server
            host = f"[{server.host}]" if ":" in server.host else server.host
            progress.line(f"ready http://{host}:{server.port}/mcp")
            progress.table(statuses)
            await stopping
        else:
            starting.cancel()
    except* StartFailed as group:
        sys.stderr.write(f"only1mcp: {group.exceptions[0]}\n")
        code = 1
    with progress.step("stopping: running calls may finish"):
        await gateway.stop()
    progress.line("stopped")
    return code
