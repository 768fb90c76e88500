"""The admin API in front of a real Router, in the process of a test; breakers only note what is done to them."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from actors.core.caller import Caller
from actors.core.endpoints import HttpEndpoint
from actors.core.listing import Facts, Item, Listing
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.policy.action import Action, ActionKind, Circumstances
from actors.core.policy.policy import Policy
from actors.core.policy_settings import PolicySettings
from actors.core.principal import Kind, Principal, Refusal, Verdict
from actors.core.revisions import LATEST_HANDSHAKE, Era
from actors.core.settings import BackendSettings, Naming
from actors.refs.gone import ActorGone
from actors.router import Router
from actors.vault import Vault
from serve_app.admin.access import SCOPE_MISSING, Access, Judge, digest_of, permission_missing
from serve_app.admin.api import AdminApi
from serve_app.admin.credentials import Credentials
from serve_app.admin.routes import Route
from serve_app.authentication import Authentication, Verify
from serve_app.denial import Denial
from serve_app.http import HttpRequest, Receive, Scope, Send, header_map
from serve_app.recording import Recorder
from tests.support.asgi import Conversation, ask
from tests.support.control_plane import RecordingMetrics

TOKEN = "token-of-the-one-who-started-it"

FACTS = Facts(Era.HANDSHAKE, LATEST_HANDSHAKE)

PRINCIPALS = {
    "admin": Principal("ann", "https://id", Kind.TOKEN, ("mcp", "only1mcp:admin")),
    "user": Principal("bob", "https://id", Kind.TOKEN, ("mcp",)),
}


async def verify(credential: str) -> Verdict:
    """Knows who says that they are `admin` or `user`."""
    if credential in PRINCIPALS:
        return Verdict(PRINCIPALS[credential], None, 60.0)
    return Verdict(None, Refusal.UNKNOWN, 10.0)


def judge_of(settings: PolicySettings | None) -> Judge:
    """As a door with this policy judges, of callers whose roles are known."""
    policy = Policy(settings)

    def judge(caller: Caller, action: str) -> Denial | None:
        stance = policy.stance(caller.principal, Circumstances(caller.ip, 0.0))
        if stance.decide(Action(ActionKind.ADMIN, "", action)).allowed:
            return None
        return SCOPE_MISSING if settings is None else permission_missing(action)

    return judge


class Breakers:
    """Notes what is done to the breakers of replicas."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def find(self, key: ReplicaKey) -> "_Breaker":
        return _Breaker(key, self.done)


class _Breaker:
    def __init__(self, key: ReplicaKey, done: list[str]) -> None:
        self._key = key
        self._done = done

    async def trip(self) -> None:
        self._done.append(f"trip {self._key}")

    async def reset(self) -> None:
        self._done.append(f"reset {self._key}")


class Office:
    """An ASGI application of the admin API alone."""

    def __init__(
        self,
        servers: Sequence[str] = ("git",),
        verify: Verify | None = None,
        environ: Mapping[str, str] | None = None,
        recorder: Recorder | None = None,
        vault: Vault | None = None,
        judge: Judge | None = None,
        more: Sequence[Route] = (),
    ) -> None:
        """`servers` are those of the file; `environ` has the variables for entries; by default there is no policy.

        `more` are routes of others.
        """
        self._vault = vault
        self.away = False
        """Whether the Router is."""
        self.breakers = Breakers()
        self.loop: asyncio.AbstractEventLoop
        """Where it was asked last."""
        settings = [BackendSettings(name=name, endpoint=HttpEndpoint(url="http://x/mcp")) for name in servers]
        self.router = Router(settings, Naming.QUALIFIED, generation="g", metrics=RecordingMetrics())  # type: ignore[arg-type]
        credentials = None if vault is None else Credentials(self._find_vault, 90 * 86_400.0)
        access = Access(digest_of(TOKEN), Authentication(verify), judge or judge_of(None))
        self.api = AdminApi(access, self._find_router, self.breakers.find, environ or {}, recorder, credentials, more)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        self.loop = asyncio.get_running_loop()
        headers = scope["headers"]
        found = header_map(headers)
        await self.api.serve(
            HttpRequest(scope["method"], scope["path"], b"", headers, found, receive, send, 65_536, 5.0)
        )

    async def ask(self, method: str, path: str, body: Any = None, credential: str | None = TOKEN) -> Conversation:
        """Ask as the one with this credential; `path` is below `/api/v1/admin`."""
        headers = [] if credential is None else [("authorization", f"Bearer {credential}")]
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return await ask(self, method, f"/api/v1/admin{path}", headers, [sent])

    async def comes_up(self, name: str, *tools: str, index: int = 0, detail: str = "") -> None:
        """Let a replica tell that it is up with these tools, or is not because of `detail`."""
        state = ReplicaState.DOWN if detail else ReplicaState.UP
        listing = Listing(tools=tuple(Item(tool, b"{}") for tool in tools))
        told = Status(ReplicaKey(name, index), "e1", 1, "node-1", "unix:/s", None, state, detail, 2, FACTS, listing)
        await self.router.report(told)

    def tell_later(self, name: str, *tools: str, detail: str = "") -> None:
        """As `comes_up`, for who is not in its loop; returns when it is told."""
        asyncio.run_coroutine_threadsafe(self.comes_up(name, *tools, detail=detail), self.loop).result(10.0)

    def reloads_asked(self) -> int:
        """How often somebody asked for one; for who is not in its loop."""
        orders = asyncio.run_coroutine_threadsafe(self.router.orders("", 0), self.loop).result(10.0)
        return orders.reload_asked

    def router_names(self) -> list[str]:
        """The servers there shall be."""
        return list(self.router._roster.backends)

    def settings(self, name: str) -> Any:
        """What a server is reached with."""
        return self.router._roster.backends[name]

    def _find_vault(self) -> Vault:
        if self.away or self._vault is None:
            raise ActorGone("Vault")
        return self._vault

    def _find_router(self) -> Router:
        if self.away:
            raise ActorGone("Router")
        return self.router


@contextmanager
def listening(office: Office) -> Iterator[int]:
    """Serve it on a port of this machine, from a thread: the commands are no coroutines."""
    server = uvicorn.Server(uvicorn.Config(office, port=0, log_level="warning", lifespan="off", loop="asyncio"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
            assert thread.is_alive(), "it could not listen"
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10.0)
