"""Starts and stops the whole gateway on a Ray: the actors, the Serve application, and what stands around them."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import ray

from actors.audit_folder import AuditError
from actors.core.credential_settings import CredentialKind
from actors.core.membership import Status
from actors.core.packing import Packing
from actors.core.roster import Berth, Roster
from actors.core.settings import BackendSettings, ServerSettings, Settings
from actors.core.terms import Terms
from actors.core.tokens.own_issuer import own_issuer
from actors.refs.backend import BackendRef
from actors.refs.gone import ActorGone
from actors.refs.host import HostRef
from actors.refs.metrics import MetricsRef
from actors.refs.router import RouterRef
from actors.refs.vault import VaultRef
from actors.runtime.cluster import cluster_cpus
from actors.runtime.start import start_backend, start_host, start_metrics, start_router, start_vault
from actors.vault_file import VaultError, open_vault
from serve_app.admin.api import ENTRY_FOLDER
from serve_app.audit_place import audit_path
from serve_app.chronicle import Chronicle
from serve_app.cli.course import StartFailed
from serve_app.cli.progress import Progress
from serve_app.fleet import Fleet
from serve_app.housing import Housing
from serve_app.knock import NobodyAnswers, health_url, knock_at
from serve_app.link_rotation import LinkRotation
from serve_app.pulse import until_lost
from serve_app.reload import Reloaded
from serve_app.serving import Serving
from serve_app.state_file import Recalled, added_again, forget_old, recall, state_file

MARGIN_SECONDS: Final = 5.0
"""What ending something may take beyond the time that running calls are given."""


class Gateway:
    """One gateway on a Ray that is running already."""

    def __init__(
        self, settings: Settings, progress: Progress, admin_digest: bytes, *, spread: bool, keeps_state: bool = True
    ) -> None:
        """`spread` says that this Ray may have other nodes, `keeps_state` that something may outlive the gateway."""
        self._settings = settings
        self._progress = progress
        self._admin_digest = admin_digest
        self._spread = spread
        self._keeps_state = keeps_state
        self._secret = b""
        self._audit_key = b""
        audit, log_format = settings.audit, settings.server.log_format
        port = None if keeps_state else settings.server.port
        self._chronicle = None if audit is None else Chronicle(audit, log_format, audit_path(audit, port))
        self._metrics: MetricsRef | None = None
        self._router: RouterRef | None = None
        self._vault: VaultRef | None = None
        self._vault_path: Path | None = None
        self._fleet: Fleet | None = None
        self._rotation: LinkRotation | None = None
        self._rotating: asyncio.Task[None] | None = None
        self._serving = Serving(settings, progress, spread=spread)
        self.on_reload: Callable[[], None] = lambda: None
        """Called when somebody asked for the configuration to be read again."""

    async def start(self) -> Sequence[Status]:
        """Start everything; gives what each backend replica came to, in order.

        Raises:
            StartFailed: there will be no gateway; it may come in an ExceptionGroup.
        """
        server = self._settings.server
        # Ray ends an actor when nobody holds a reference to it any more
        try:
            self._metrics = start_metrics(server.log_format)
        except ValueError as error:  # its name is taken
            raise StartFailed("there is another only1mcp on this Ray") from error
        if self._chronicle is not None:
            try:
                self._audit_key = await self._chronicle.begin(self._settings)
            except AuditError as error:
                raise StartFailed(str(error)) from error
        recalled = await asyncio.to_thread(_recall, server, spread=self._spread, keeps_state=self._keeps_state)
        self._secret = recalled.secret
        self._vault_path = recalled.vault
        if self._settings.auth is not None or any(map(_keeps_tokens, self._settings.backends)):
            await asyncio.to_thread(_try_vault, recalled.vault)
            self._start_vault()
            if recalled.vault is None:
                self._progress.line("tokens and keys that this gateway keeps or issues end with it: no state is kept")
        audit, key = self._settings.audit, self._audit_key
        self._router = start_router(server.naming, server.log_format, server, recalled.file, audit, key)
        self._rotation = LinkRotation(self._router, server.link_key_seconds)
        roster = Roster()
        roster.configure(self._settings.backends, Terms.of(self._settings))
        for added in added_again(recalled.servers, ENTRY_FOLDER, os.environ):
            roster.add(added)
        housing = Housing(Packing(server.density), self._router, self._start_backend, self._start_host, cluster_cpus)
        self._fleet = Fleet(
            self._router,
            housing.start,
            start_concurrency=server.start_concurrency,
            drain_seconds=server.drain_seconds,
            on_status=self._progress.backend,
            on_trouble=self._progress.line,
            on_reload=lambda: self.on_reload(),
            on_orders=housing.expect,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serving.begin(self._secret, self._admin_digest, self._audit_key))
            beginning = group.create_task(self._begin(self._fleet, roster, self._rotation))
        statuses = beginning.result()
        try:
            await knock_at(server, statuses)
        except NobodyAnswers as silence:
            raise StartFailed(f"the ingress does not answer at {health_url(server)} {silence}") from None
        return statuses

    @property
    def router(self) -> RouterRef:
        """The Router of a gateway that was started."""
        assert self._router is not None, "it was started"  # noqa: S101
        return self._router

    def remember(self, reloaded: Reloaded) -> None:
        """Have the audit know, if there is one, what came of a reload."""
        if self._chronicle is not None:
            self._chronicle.reloaded(reloaded)

    async def until_lost(self) -> None:
        """Return when the Ray that this runs on is gone, and with it all that was started."""
        own = ray.get_runtime_context().get_node_id()

        def knows_us() -> bool:
            return any(node["NodeID"] == own and node["Alive"] for node in ray.nodes())

        await until_lost(lambda: asyncio.to_thread(knows_us))

    async def stop(self) -> None:
        """Let running calls finish for a while, then end everything that was started. Never raises.

        Serve itself is ended on a Ray that goes on without us; our own takes it along, and more quietly.
        """
        seconds = self._settings.server.drain_seconds
        if self._router is not None:
            await _within(self._router.close(), MARGIN_SECONDS)
        await _within(self._serving.end(), seconds + MARGIN_SECONDS)
        if self._router is not None:
            await _within(self._router.flush(), MARGIN_SECONDS)  # the ingress replicas told it their last
        await _within(self._serving.leave(), seconds + MARGIN_SECONDS)
        if self._rotating is not None:
            self._rotating.cancel()
        if self._fleet is not None:
            await _within(self._fleet.stop(seconds), seconds + MARGIN_SECONDS)
        if self._chronicle is not None:
            await _within(self._chronicle.end(), seconds + MARGIN_SECONDS)

    async def _begin(self, fleet: Fleet, roster: Roster, rotation: LinkRotation) -> Sequence[Status]:
        try:
            await rotation.begin()
            self._rotating = asyncio.create_task(rotation.follow())
            return await fleet.begin(roster.orders(""))
        except ActorGone as gone:
            raise StartFailed(f"the Router has no process: {gone}") from gone

    def _start_vault(self) -> None:
        auth, server = self._settings.auth, self._settings.server
        own = own_issuer(auth, server)
        self._vault = start_vault(auth, own, self._secret, self._vault_path, server.log_format)

    def _start_backend(self, berth: Berth, host: HostRef | None) -> BackendRef:
        key, settings, log_format = berth.key, berth.settings, self._settings.server.log_format
        if self._vault is None and _keeps_tokens(settings):
            self._start_vault()  # it was added to a gateway that had no use for one
        return start_backend(settings, key, log_format, spread=self._spread, slot=berth.slot, host=host)

    def _start_host(self, name: str) -> HostRef:
        return start_host(name, self._settings.server.log_format, spread=self._spread)


def _recall(server: ServerSettings, *, spread: bool, keeps_state: bool) -> Recalled:
    file = state_file(server, spread=spread) if keeps_state else None
    if file is not None and server.state_file is None:
        forget_old(file.parent, time.time())
    return recall(file)


def _keeps_tokens(backend: BackendSettings) -> bool:
    """Whether its users have credentials of their own, which somebody must look after."""
    return backend.auth is not None and backend.auth.kind is CredentialKind.USER


def _try_vault(path: Path | None) -> None:
    """See whether the Vault can use its file.

    Raises:
        StartFailed: it cannot, and to go on without would be to forget what is revoked.
    """
    try:
        open_vault(path).close()
    except VaultError as error:
        raise StartFailed(str(error)) from error


async def _within(work: Awaitable[object], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except Exception:  # noqa: BLE001 - every further step must still be taken
        return
