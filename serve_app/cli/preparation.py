"""All that can be said about a run before Ray starts, which takes seconds: the settings, or why there will be none."""

import dataclasses
import errno
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from actors.audit_folder import AuditError
from actors.audit_lock import check_writable
from actors.core.guard import is_loopback
from actors.core.rules import SettingsError
from actors.core.settings import ServerSettings, Settings
from serve_app.audit_place import audit_path
from serve_app.cli.progress import Progress
from serve_app.config import ConfigError, check_exposure, demonstration, find, load
from serve_app.environment import haproxy_available
from serve_app.file_watch import fingerprint

CANNOT_START: Final = 1
WRONG_CONFIGURATION: Final = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says about a run; what it does not say is `None`."""

    config: Path | None = None
    host: str | None = None
    port: int | None = None
    address: str | None = None
    """The Ray cluster to join; without it there will be one of our own."""
    keeps_state: bool = True
    """Whether anything shall outlive the run, in `ServerSettings.state_file` or where that is else."""
    plain: bool = False
    """Whether TLS is left out, whatever the configuration says."""
    dashboard: bool = True
    """Whether a Ray of our own has its dashboard."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a configuration is looked for, and its variables."""

    cwd: Path = dataclasses.field(default_factory=Path.cwd)
    user_config_dir: Path = dataclasses.field(default_factory=lambda: Path(platformdirs.user_config_dir()))
    environ: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(os.environ), repr=False)
    """A copy: what is put there for Ray later on must not change what a file means when it is read again."""


@dataclass(frozen=True, slots=True)
class Source:
    """The configuration file of a run."""

    path: Path
    settings: Settings
    """What it held, before the command line had its say."""
    fingerprint: bytes
    """See `serve_app.file_watch.fingerprint`."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that can be tried."""

    settings: Settings
    source: Source | None
    """Nothing, for the demonstration."""
    keeps_state: bool
    """As in `Wish`."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """There will be no run: the exit code, and the sentence or sentences for the one who typed the command."""

    code: int
    reason: str


def prepare(wish: Wish, surroundings: Surroundings, progress: Progress) -> Prepared | Impossible:
    """Find and read the configuration, let the command line have its say, and look whether it can be served.

    Rungs, in order; the first which fails decides:

    1. The configuration is right, and so is what the command line makes of it.
    2. It does not open the gateway to strangers, and TLS can be had if it is wanted.
    3. Its port is free. On a cluster nobody knows yet where it will be needed.
    4. Its audit, if there shall be one, can be written.
    """
    try:
        source = _source(wish.config, surroundings, progress)
        settings = _overridden(demonstration() if source is None else source.settings, wish)
    except ConfigError as error:
        return Impossible(WRONG_CONFIGURATION, str(error))
    except SettingsError as error:
        return Impossible(WRONG_CONFIGURATION, f"only1mcp: server.{error}")
    objection = check_exposure(settings) or _tls_objection(settings.server, wish)
    if objection is not None:
        return Impossible(WRONG_CONFIGURATION, f"only1mcp: {objection}")
    obstacle = _obstacle(settings.server) if wish.address is None else None
    if obstacle is not None:
        return Impossible(CANNOT_START, f"only1mcp: {obstacle}")
    if settings.audit is not None:
        try:
            check_writable(audit_path(settings.audit, None if wish.keeps_state else settings.server.port))
        except AuditError as error:
            return Impossible(CANNOT_START, f"only1mcp: {error}")
    return Prepared(settings, source, wish.keeps_state)


def _source(config: Path | None, surroundings: Surroundings, progress: Progress) -> Source | None:
    path = find(config, surroundings.cwd, surroundings.user_config_dir)
    if path is None:
        progress.line("no configuration found: serving the demonstration server")
        return None
    seen = fingerprint(path)  # first: what is written meanwhile is then a change
    loaded = load(path, surroundings.environ)
    progress.line(f"configuration {path}")
    for note in loaded.notes:
        progress.line(note)
    return Source(path.absolute(), loaded.settings, seen)


def _overridden(settings: Settings, wish: Wish) -> Settings:
    server = settings.server
    host = server.host if wish.host is None else wish.host
    port = server.port if wish.port is None else wish.port
    tls = None if wish.plain else server.tls
    return dataclasses.replace(settings, server=dataclasses.replace(server, host=host, port=port, tls=tls))


def _tls_objection(server: ServerSettings, wish: Wish) -> str | None:
    """Why TLS cannot be had as it is wished, or cannot be left out."""
    if wish.plain and not is_loopback(server.host):
        return f"server.host {server.host} is reachable by others: --plain is for 127.0.0.1"
    if server.tls is None:
        return None
    if wish.address is not None:
        return "server.tls is for a Ray of the gateway's own: on a cluster the load balancer before it speaks TLS"
    return None if haproxy_available() else "server.tls needs HAProxy, and there is none for this machine"


def _obstacle(server: ServerSettings) -> str | None:
    """Why nothing can listen where the gateway should, found out by doing so for a moment."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return (
                    f"port {server.port} of {server.host} is taken, perhaps by another only1mcp;"
                    " stop that, or choose another with --port"
                )
            return f"cannot listen on port {server.port} of {server.host}: {error.strerror}"
    return None
