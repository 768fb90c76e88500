"""`only1mcp run`: the gateway in the foreground, from the first line to the last process."""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from rich.console import Console

from actors import logs
from actors.core.settings import Settings
from serve_app.cli.course import Course
from serve_app.cli.preparation import CANNOT_START, Impossible, Surroundings, Wish, prepare
from serve_app.cli.progress import Progress

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

END_SECONDS: Final = 20.0
"""How long the last steps may take. They are Ray's, and with a Ray that is broken they might take for ever."""


def run(wish: Wish) -> int:
    """Run until SIGINT or SIGTERM; a second one ends calls that are still running.

    Returns the exit code: 0 if that was what ended it, 1 if it could not start or lost its Ray, 2 if the
    configuration is wrong.
    """
    progress = Progress(Console(file=sys.stdout, soft_wrap=True))
    settings = prepare(wish, Surroundings(), progress)
    if isinstance(settings, Impossible):
        sys.stderr.write(f"{settings.reason}\n")
        return settings.code
    logs.configure(settings.server.log_format)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until there is a loop, both end the same way
    try:
        return _run_on_ray(settings, wish.address, progress)
    except KeyboardInterrupt:
        return 0


def _run_on_ray(settings: Settings, address: str | None, progress: Progress) -> int:
    # Ray and Serve read their environment when they are imported, and importing them takes a second
    from serve_app.environment import guest_environment, haproxy_available, ray_environment, with_our_variables
    from serve_app.run_folder import run_folder

    with run_folder() as folder:
        if address is None:
            with_our_variables(ray_environment(folder, settings.server.drain_seconds))
            if not haproxy_available():
                progress.line("no HAProxy for this machine: Serve's own proxy is used, which is slower")
        else:
            with_our_variables(guest_environment(os.environ, Path.home()))
        from actors.runtime import join_ray, start_ray

        try:
            with progress.step(f"joining the Ray at {address}" if address else "starting Ray"):
                dashboard = join_ray(address) if address else start_ray()
        except Exception as error:  # noqa: BLE001 - Ray raises many kinds, and each is one sentence to a person
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            sys.stderr.write(f"only1mcp: cannot {f'join the Ray at {address}' if address else 'start Ray'}: {reason}\n")
            return CANNOT_START
        progress.line(f"Ray dashboard at http://{dashboard}" if dashboard else "Ray runs without a dashboard")
        code = CANNOT_START
        runner = asyncio.Runner()
        try:
            code = runner.run(_serve(settings, progress, spread=address is not None))
        finally:
            _end(runner, code)
        return code


async def _serve(settings: Settings, progress: Progress, *, spread: bool) -> int:
    from serve_app.gateway import Gateway

    course = Course(Gateway(settings, progress, spread=spread), settings.server, progress, sys.stderr)
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, course.ask_to_stop)
    return await course.run()


def _end(runner: asyncio.Runner, code: int) -> None:
    from actors.runtime import stop_ray

    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # it ends already, and within a limit
    last_resort = threading.Timer(END_SECONDS, os._exit, (code,))
    last_resort.daemon = True
    last_resort.start()
    runner.close()
    stop_ray()
    last_resort.cancel()
