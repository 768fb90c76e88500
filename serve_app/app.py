"""The composition root of the door: what an ingress replica and the Auth deployment are made of."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from actors import logs
from actors.bus.dialer import CallerLink, dial
from actors.bus.keychain import Keychain
from actors.core.auth_settings import AuthSettings
from actors.core.membership import ReplicaKey
from actors.core.needs import PLACEABLE_BYTES
from actors.core.principal import Verdict
from actors.core.settings import Settings
from actors.core.tokens.own_issuer import OwnIssuer, own_issuer
from actors.core.view import View
from actors.garbage import calm_collector
from actors.refs.gone import ActorGone
from actors.runtime.cluster import listening_addresses, own_zone
from actors.runtime.find import find_audit, find_backend, find_metrics, find_router, find_vault
from serve_app.admin.access import Access
from serve_app.admin.api import AdminApi
from serve_app.admin.connections import ConnectionRoutes
from serve_app.auth import Auth
from serve_app.connect.connections import Connections
from serve_app.connect.cookies import Cookies
from serve_app.connect.door import ConnectDoor
from serve_app.connect.invitation import Invitations
from serve_app.connect.ticket import Tickets
from serve_app.downstream.assembly import Assembly
from serve_app.http import Receive, Scope, Send
from serve_app.ingress import Ingress
from serve_app.limiting import Limiting
from serve_app.links import Links
from serve_app.outlook import Outlook
from serve_app.own_tokens import OwnTokens
from serve_app.own_url import OwnUrl
from serve_app.peer import Whence
from serve_app.reception import Reception
from serve_app.recognition import recognition_of
from serve_app.recording import recorder_of
from serve_app.tallying import Tallying

APPLICATION: Final = "only1mcp"
"""The name of the Serve application."""

QUIET: Final = {"enable_access_log": False, "log_level": "WARNING"}

DEPLOYMENT_OPTIONS: Final[dict[str, Any]] = {
    "logging_config": QUIET,
    "max_ongoing_requests": 100_000,  # limits are ours, per backend; Serve's would refuse without saying for whom
    "health_check_period_s": 5.0,
    "graceful_shutdown_wait_loop_s": 0.5,
}


class IngressReplica:
    """All that one ingress replica is made of: an ASGI application with a life of its own beside its requests.

    A plain object, because Ray wraps the methods of what it runs.
    """

    def __init__(
        self,
        settings: Settings,
        secret: bytes,
        auth: DeploymentHandle | None,
        admin_digest: bytes,
        *,
        node: str,
        zone: str,
        source: str,
        addresses: Callable[[], tuple[str, str | None]],
        audit_key: bytes = b"",
    ) -> None:
        """`settings` need no backends: those come with the View.

        `source` names this process to Metrics, `node` and `zone` are where it runs; `addresses` as for `Relay`.
        `admin_digest` is that of the token for the admin API, see `serve_app.admin.access`; `audit_key` is as for
        `Recorder`.
        """

        async def dial_backend(address: str, backend: str, on_lost: Callable[[str], None]) -> CallerLink:
            return await dial(address, self._keys, backend=backend, on_closed=on_lost)

        async def verify(credential: str) -> Verdict:
            assert auth is not None, "only asked where there is one"  # noqa: S101
            verdict: Verdict = await auth.verify.remote(credential)
            return verdict

        self._auth = auth
        self._keys = Keychain()
        self._links = Links(node, dial_backend, random.random, zone=zone, on_over=_bury)
        self._outlook = Outlook(find_router, self._see)
        self._recorder = recorder_of(settings.audit, audit_key, node, find_audit)
        self._tallying = Tallying(source, find_metrics, self._links.ejected, lambda: self._recorder.counts)
        replicas = settings.server.replicas
        self._limiting = Limiting(settings.limits, find_router, self._tallying.note, source=source, replicas=replicas)
        self._outlook.listeners.append(self._heed)
        public_url = None if settings.auth is None else settings.auth.public_url
        own_url = OwnUrl(public_url, encrypted=settings.server.tls is not None)
        tickets = Tickets(secret)
        connections = Connections(lambda: self._outlook.view, find_backend, find_router, self._recorder)
        assembly = Assembly(
            self._outlook,
            self._links,
            self._tallying,
            secret,
            find_router,
            keys=self._keys,
            idle_seconds=settings.server.session_idle_seconds,
            dice=random.random,
            node=node,
            addresses=addresses,
            recorder=self._recorder,
            limiting=self._limiting,
            invitations=Invitations(tickets, own_url, settings.server.origin),
            has_consent=connections.has,
        )
        self._sessions = assembly.sessions
        self._eviction = assembly.eviction
        self._relay = assembly.relay
        known = recognition_of(settings, verify, own_url, find_vault, self._recorder)
        self._authentication = known.authentication
        whence = Whence(settings.server, os.environ)
        reception = Reception(known.authentication, self._outlook, whence, settings.policy)
        access = Access(admin_digest, known.authentication, reception.bars)
        guarded = auth is not None
        connecting = ConnectionRoutes(connections, reception, guarded=guarded).routes()
        admin = AdminApi(access, find_router, find_backend, os.environ, self._recorder, known.credentials, connecting)
        steps = Cookies(secret)
        connect = ConnectDoor(
            secret,
            tickets,
            steps,
            own_url,
            connections,
            time.monotonic,
            admits=reception.admits,
            complete=assembly.sessions.complete,
            guarded=guarded,
            logins=known.in_browsers,
        )
        self._ingress = Ingress(
            settings.server,
            self._outlook,
            reception,
            assembly,
            find_metrics,
            admin=admin,
            metadata=known.metadata,
            oauth=known.oauth,
            connect=connect,
        )

    def _see(self, view: View) -> None:
        """Open the links of a new View, with its keys."""
        if view.link_keys is not None:
            self._keys.adopt(view.link_keys)
        self._links.update(view)

    def _heed(self) -> None:
        """Go by the limits of a new View, and by what is revoked."""
        if self._outlook.view.terms is not None:
            self._limiting.go_by(self._outlook.view.terms.limits)
        if self._outlook.view.revocations is not None:
            self._authentication.revoke(self._outlook.view.revocations)
            self._eviction.heed(self._outlook.view.revocations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] == "http":
            await self._ingress(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._ingress.connect(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Follow the Router and report to Metrics for as long as the replica lives."""
        await receive()
        if self._auth is not None:
            # the first use of a handle stops everything here until Serve's controller has answered: now it is there
            self._auth.options()
        lives = (self._outlook.follow(), self._sessions.follow(), self._sessions.run(), self._tallying.run())
        tasks = [asyncio.create_task(life) for life in (*lives, self._recorder.run(), self._limiting.run())]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in tasks:
            task.cancel()
        self._links.close()
        await self._relay.close()
        await self._sessions.close()
        await self._recorder.drain()
        await self._tallying.send()
        await send({"type": "lifespan.shutdown.complete"})


@serve.ingress()
class IngressDeployment:
    """The Serve deployment of ingress replicas."""

    def __init__(
        self,
        settings: Settings,
        secret: bytes,
        auth: DeploymentHandle | None,
        admin_digest: bytes,
        *,
        spread: bool,
        audit_key: bytes = b"",
    ) -> None:
        logs.configure(settings.server.log_format)
        context = ray.get_runtime_context()
        self._replica = IngressReplica(
            settings,
            secret,
            auth,
            admin_digest,
            node=context.get_node_id(),
            zone=own_zone(),
            source=context.get_actor_id() or "",
            addresses=lambda: listening_addresses(spread=spread),
            audit_key=audit_key,
        )
        calm_collector()

    def __serve_build_asgi_app__(self) -> IngressReplica:
        """What Serve runs."""
        return self._replica


def _bury(key: ReplicaKey, epoch: str) -> None:
    """Tell the Router, if there is one, that a life of a replica is over."""
    with suppress(ActorGone):
        find_router().bury(key, epoch)


class AuthDeployment(Auth):
    """The one who verifies credentials."""

    def __init__(self, settings: AuthSettings, own: OwnIssuer, log_format: str) -> None:
        logs.configure(log_format)
        super().__init__(settings, own=OwnTokens(own, find_vault))


def build_application(
    settings: Settings, secret: bytes, admin_digest: bytes, *, spread: bool, audit_key: bytes = b""
) -> serve.Application:
    """The Serve application of a configuration; Auth is part of it only where somebody must be recognised.

    `spread` says that its replicas may be on several nodes; `audit_key` is as for `Recorder`.
    """
    server = settings.server
    auth = None
    if settings.auth is not None:
        auth = serve.deployment(
            AuthDeployment, name="auth", ray_actor_options={"num_cpus": 0}, **DEPLOYMENT_OPTIONS
        ).bind(settings.auth, own_issuer(settings.auth, server), server.log_format)
    ingress = serve.deployment(
        IngressDeployment,
        name="ingress",
        num_replicas=server.replicas,
        ray_actor_options={"num_cpus": 0} | ({"memory": PLACEABLE_BYTES} if spread else {}),
        graceful_shutdown_timeout_s=server.drain_seconds,
        **DEPLOYMENT_OPTIONS,
    )
    return ingress.bind(replace(settings, backends=()), secret, auth, admin_digest, spread=spread, audit_key=audit_key)
