"""The composition root of the door: what an ingress replica and the Auth deployment are made of."""

import asyncio
import os
import random
from collections.abc import Callable
from typing import Any, Final

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from actors import logs
from actors.bus.dialer import CallerLink, dial
from actors.core.auth_settings import AuthSettings
from actors.core.needs import SPREADABLE_CPUS
from actors.core.principal import Verdict
from actors.core.settings import ServerSettings, Settings
from actors.garbage import calm_collector
from actors.runtime import find_backend, find_metrics, find_router, listening_addresses, own_zone
from serve_app.admin.access import Access
from serve_app.admin.api import AdminApi
from serve_app.auth import Auth
from serve_app.authentication import Authentication
from serve_app.downstream.assembly import Assembly
from serve_app.http import Receive, Scope, Send
from serve_app.ingress import Ingress
from serve_app.links import Links
from serve_app.outlook import Outlook
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
        server: ServerSettings,
        secret: bytes,
        auth: DeploymentHandle | None,
        admin_digest: bytes,
        *,
        node: str,
        zone: str,
        source: str,
        addresses: Callable[[], tuple[str, str | None]],
    ) -> None:
        """`source` names this process to Metrics, `node` and `zone` are where it runs; `addresses` as for `Relay`.

        `admin_digest` is that of the token for the admin API, see `serve_app.admin.access`.
        """

        async def dial_backend(address: str, backend: str, on_lost: Callable[[str], None]) -> CallerLink:
            return await dial(address, secret, backend=backend, on_closed=on_lost)

        async def verify(credential: str) -> Verdict:
            assert auth is not None, "only asked where there is one"  # noqa: S101
            verdict: Verdict = await auth.verify.remote(credential)
            return verdict

        self._links = Links(node, dial_backend, random.random, zone=zone)
        self._outlook = Outlook(find_router, self._links.update)
        self._tallying = Tallying(source, find_metrics)
        assembly = Assembly(
            self._outlook,
            self._links,
            self._tallying,
            secret,
            find_router,
            idle_seconds=server.session_idle_seconds,
            dice=random.random,
            node=node,
            addresses=addresses,
        )
        self._sessions = assembly.sessions
        self._relay = assembly.relay
        authentication = Authentication(verify if auth is not None else None)
        admin = AdminApi(Access(admin_digest, authentication), find_router, find_backend, os.environ)
        self._ingress = Ingress(server, self._outlook, authentication, assembly, find_metrics, admin=admin)

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
        lives = (self._outlook.follow(), self._sessions.follow(), self._sessions.run(), self._tallying.run())
        tasks = [asyncio.create_task(life) for life in lives]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in tasks:
            task.cancel()
        self._links.close()
        await self._relay.close()
        await self._tallying.send()
        await send({"type": "lifespan.shutdown.complete"})


@serve.ingress()
class IngressDeployment:
    """The Serve deployment of ingress replicas."""

    def __init__(
        self,
        server: ServerSettings,
        secret: bytes,
        auth: DeploymentHandle | None,
        admin_digest: bytes,
        *,
        spread: bool,
    ) -> None:
        logs.configure(server.log_format)
        context = ray.get_runtime_context()
        self._replica = IngressReplica(
            server,
            secret,
            auth,
            admin_digest,
            node=context.get_node_id(),
            zone=own_zone(),
            source=context.get_actor_id() or "",
            addresses=lambda: listening_addresses(spread=spread),
        )
        calm_collector()

    def __serve_build_asgi_app__(self) -> IngressReplica:
        """What Serve runs."""
        return self._replica


class AuthDeployment(Auth):
    """The one who verifies credentials."""

    def __init__(self, settings: AuthSettings, log_format: str) -> None:
        logs.configure(log_format)
        super().__init__(settings)


def build_application(settings: Settings, secret: bytes, admin_digest: bytes, *, spread: bool) -> serve.Application:
    """The Serve application of a configuration; Auth is part of it only where somebody must be recognised.

    `spread` says that its replicas may be on several nodes.
    """
    server = settings.server
    auth = None
    if settings.auth is not None:
        auth = serve.deployment(
            AuthDeployment, name="auth", ray_actor_options={"num_cpus": 0}, **DEPLOYMENT_OPTIONS
        ).bind(settings.auth, server.log_format)
    ingress = serve.deployment(
        IngressDeployment,
        name="ingress",
        num_replicas=server.replicas,
        ray_actor_options={"num_cpus": SPREADABLE_CPUS if spread else 0},
        graceful_shutdown_timeout_s=server.drain_seconds,
        **DEPLOYMENT_OPTIONS,
    )
    return ingress.bind(server, secret, auth, admin_digest, spread=spread)
