"""`only1mcp run`: the gateway in the foreground, from the first line to the last process."""

import asyncio
import os
import random
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console

from actors import logs
from serve_app.cli.course import Course
from serve_app.cli.preparation import CANNOT_START, Impossible, Prepared, Surroundings, Wish, prepare
from serve_app.cli.progress import Progress

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

END_SECONDS: Final = 20.0
"""How long the last steps may take. They are Ray's, and with a Ray that is broken they might take for ever."""


def run(wish: Wish) -> int:
    """Run until SIGINT or SIGTERM; a second one ends calls that are still running. SIGHUP reads the file again.

    Returns the exit code: 0 if that was what ended it, 1 if it could not start or lost its Ray, 2 if the
    configuration is wrong.
    """
    progress = Progress(Console(file=sys.stdout, soft_wrap=True))
    surroundings = Surroundings()
    prepared = prepare(wish, surroundings, progress)
    if isinstance(prepared, Impossible):
        sys.stderr.write(f"{prepared.reason}\n")
        return prepared.code
    logs.configure(prepared.settings.server.log_format)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until there is a loop, both end the same way
    try:
        return _run_on_ray(prepared, surroundings.environ, wish, progress)
    except KeyboardInterrupt:
        return 0


def _run_on_ray(prepared: Prepared, environ: Mapping[str, str], wish: Wish, progress: Progress) -> int:
    # Ray and Serve read their environment when they are imported, and importing them takes a second
    from serve_app.environment import guest_environment, haproxy_available, ray_environment, with_our_variables
    from serve_app.port_block import port_block
    from serve_app.run_folder import run_folder

    address = wish.address
    with run_folder() as folder, port_block(random.random) as ports:
        if address is None:
            server = prepared.settings.server
            with_our_variables(ray_environment(folder, server.drain_seconds, ports, tls=server.tls))
            if not haproxy_available():
                progress.line("no HAProxy for this machine: Serve's own proxy is used, which is slower")
        else:
            with_our_variables(guest_environment(os.environ, Path.home()))
        from actors.runtime.cluster import join_ray, start_ray

        try:
            with progress.step(f"joining the Ray at {address}" if address else "starting Ray"):
                dashboard = join_ray(address) if address else start_ray(dashboard=wish.dashboard)
        except Exception as error:  # noqa: BLE001 - Ray raises many kinds, and each is one sentence to a person
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            sys.stderr.write(f"only1mcp: cannot {f'join the Ray at {address}' if address else 'start Ray'}: {reason}\n")
            return CANNOT_START
        progress.line(f"Ray dashboard at http://{dashboard}" if dashboard else "Ray runs without a dashboard")
        code = CANNOT_START
        runner = asyncio.Runner()
        try:
            code = runner.run(_serve(prepared, environ, progress, spread=address is not None))
        finally:
            _end(runner, code)
        return code


async def _serve(prepared: Prepared, environ: Mapping[str, str], progress: Progress, *, spread: bool) -> int:
    from serve_app.admin.access import digest_of
    from serve_app.admin.pass_file import new_pass, pass_path
    from serve_app.cli.attendance import Attendance, Hangup
    from serve_app.cli.reloading import Reloading
    from serve_app.door_tls import DoorTls
    from serve_app.file_watch import FileWatch
    from serve_app.gateway import Gateway
    from serve_app.own_way import own_socket
    from serve_app.reload import Reload, Reloaded

    settings, source = prepared.settings, prepared.source
    held = new_pass(settings.server, os.getpid())
    digest = digest_of(held.token)
    gateway = Gateway(settings, progress, digest, spread=spread, keeps_state=prepared.keeps_state)
    tls, socket = settings.server.tls, own_socket(settings.server)
    lives = [] if tls is None or socket is None else [DoorTls(tls, Path(socket).parent).follow]
    attendance = Attendance(held, pass_path(settings.server.port), progress, lives)
    reload = changes = None
    if source is not None:
        reload = Reload(source.path, environ, source.settings, lambda: gateway.router)
        changes = FileWatch(source.path, source.fingerprint).changes if settings.server.watch_config else None

    async def on_reloaded(reloaded: Reloaded) -> None:
        gateway.remember(reloaded)
        await attendance.on_reloaded(reloaded)

    reloading = Reloading(reload, changes, progress, sys.stderr, on_reloaded)
    gateway.on_reload = reloading.ask
    course = Course(gateway, settings.server, progress, sys.stderr, lambda: attendance.attend(reloading))
    streams = sys.stdin, sys.stdout, sys.stderr
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, course.ask_to_stop)
    loop.add_signal_handler(signal.SIGHUP, Hangup(reloading.ask, course.ask_to_stop, streams))
    return await course.run()


def _end(runner: asyncio.Runner, code: int) -> None:
    from actors.runtime.cluster import stop_ray

    for number in (*SIGNALS, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends already, and within a limit
    last_resort = threading.Timer(END_SECONDS, os._exit, (code,))
    last_resort.daemon = True
    last_resort.start()
    runner.close()
    stop_ray()
    last_resort.cancel()
