"""A gateway in one process: real ingresses and real links, in front of replicas that do what a test says."""

import asyncio
import json
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.bus.dialer import CallerLink, dial
from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.bus.listener import Listener
from actors.core.auth_settings import AuthSettings
from actors.core.catalogue import aggregate
from actors.core.limit_settings import LimitSettings
from actors.core.listing import Facts, Item, Listing
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.policy_settings import PolicySettings
from actors.core.principal import Verdict
from actors.core.revisions import Era
from actors.core.settings import Naming, ServerSettings
from actors.core.tally import Report
from actors.core.traffic_settings import BalancerSettings, Stickiness
from actors.core.view import BackendView, View
from actors.refs.gone import ActorGone
from actors.watchers import BEGUN
from serve_app.authentication import Authentication
from serve_app.challenges import Challenges
from serve_app.downstream.assembly import Assembly
from serve_app.ingress import Ingress
from serve_app.limiting import Limiting
from serve_app.links import Links
from serve_app.metadata import Metadata
from serve_app.outlook import Outlook
from serve_app.own_url import OwnUrl
from serve_app.peer import peer_of
from serve_app.proofs import Proofs
from serve_app.reception import Reception
from serve_app.recording import Recorder
from serve_app.tallying import Tallying
from tests.support.bus import KEYS, SECRET, RecordingBackend, until
from tests.support.hand_clock import HandClock
from tests.support.session_router import SessionRouter

FACTS = Facts(
    Era.MODERN, "2026-07-28", b'{"name":"upstream","version":"7"}', b'{"tools":{},"resources":{},"prompts":{}}'
)

LISTING = Listing(
    tools=(Item("echo", b'{"name":"echo","inputSchema":{"type":"object"},"x-more":[1.0]}'),),
    resources=(Item("file:///a", b'{"uri":"file:///a","name":"a"}'),),
    prompts=(Item("greet", b'{"name":"greet"}'),),
)

Behaviour = Callable[[Exchange], None]


def arguments_of(exchange: Exchange) -> Any:
    return json.loads(exchange.call.params).get("arguments")


def answer(exchange: Exchange, result: Any, era: Era = Era.MODERN) -> None:
    exchange.finish(Reply(json.dumps(result).encode(), era))


def complete(result: Mapping[str, Any]) -> dict[str, Any]:
    return {"resultType": "complete", **result}


def echo(exchange: Exchange) -> None:
    """Answer at once, with what was called and how."""
    answer(exchange, complete({"name": exchange.call.name, "got": arguments_of(exchange)}))


def keep(_exchange: Exchange) -> None:
    """Leave the call running; the test finishes it."""


def follow(exchange: Exchange) -> None:
    """Leave a subscription running; the server has agreed to tell."""
    exchange.emit(EventKind.CHANGED, BEGUN)


def fail(kind: FailureKind) -> Behaviour:
    """Refuse or lose every call."""
    return lambda exchange: exchange.finish(Failure(kind, "git", "on purpose"))


class Replica(RecordingBackend):
    """A replica of a backend, on a real link; calls of a cancelled request end as a Backend ends them."""

    def __init__(self, backend: str = "git", index: int = 0, behave: Behaviour = echo, *, up: bool = True) -> None:
        super().__init__(behave)
        self.key = ReplicaKey(backend, index)
        self.state = ReplicaState.UP if up else ReplicaState.DOWN
        self.address = ""
        self.epoch = "1"
        self._listener = self._new_listener()

    @property
    def running(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if not exchange.done]

    async def listen(self, address: str) -> None:
        self.address = await self._listener.start(address)

    async def close(self) -> None:
        await self._listener.close()

    def leave(self) -> None:
        """Say that it takes no new calls."""
        self._listener.leave()

    async def restart(self) -> None:
        """Die with everything that ran, and come back at the same place knowing nothing of it."""
        await self.close()
        self._listener = self._new_listener()
        await self.listen(self.address)

    def cancelled_origin(self, origin: bytes) -> None:
        super().cancelled_origin(origin)
        for exchange in [each for each in self.running if each.call.origin == origin]:
            exchange.finish(Failure(FailureKind.CANCELLED, self.key.backend))

    def status(self) -> Status:
        return Status(
            key=self.key,
            epoch=self.epoch,
            sequence=1,
            node="here",
            address=self.address,
            remote_address=None,
            state=self.state,
            detail="" if self.state is ReplicaState.UP else "its command is not there",
        )

    def _new_listener(self) -> Listener:
        return Listener(KEYS, self, backend=self.key.backend)


class MetricsDouble:
    """Keeps the reports it gets; away, it is as a Metrics actor that restarts."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.away = False

    async def report(self, report: Report) -> None:
        if self.away:
            raise ActorGone
        self.reports.append(report)

    async def render(self) -> bytes:
        if self.away:
            raise ActorGone
        return b"only1mcp_up 1\n"


@dataclass
class Doorway:
    """One ingress replica, and what it is made of."""

    ingress: Ingress
    links: Links
    outlook: Outlook
    tallying: Tallying
    assembly: Assembly
    dialled: list[CallerLink] = field(default_factory=list)
    """Every link it ever opened."""

    async def linked(self, count: int = 1) -> None:
        """Wait until so many links have been opened."""
        await until(lambda: len(self.dialled) >= count)

    async def __call__(self, *arguments: Any) -> None:
        """As an ASGI application."""
        await self.ingress(*arguments)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What differs from one test to another."""

    server: ServerSettings = field(default_factory=ServerSettings)
    verify: Callable[[str], Awaitable[Verdict]] | None = None
    listings: Mapping[str, Listing] = field(default_factory=dict)
    """By backend; `LISTING` for those not named."""
    facts: Mapping[str, Facts | None] = field(default_factory=dict)
    """By backend; `FACTS` for those not named, `None` for one that was never up."""
    naming: Naming = Naming.QUALIFIED
    stickiness: Stickiness = Stickiness.OFF
    balancer: BalancerSettings = field(default_factory=BalancerSettings)
    limits: Mapping[str, Any] = field(default_factory=dict)
    """More fields of every `BackendView`, of what its calls may cost."""
    allowed: LimitSettings = field(default_factory=LimitSettings)
    """Rate limits and quotas."""
    policy: PolicySettings | None = None
    """What callers may do."""
    ingresses: int = 1
    """How many share them."""
    timeout: float = 30.0
    keep_alive: float = 15.0
    grace: float = 5.0
    body_seconds: float = 60.0
    recorder: Recorder | None = None
    auth: AuthSettings | None = None
    """What challenges and the metadata of the resource are made of; `verify` decides, as ever."""


def view_of(replicas: Sequence[Replica], plan: Plan, version: int = 1) -> View:
    """What a Router would publish."""
    names = sorted({replica.key.backend for replica in replicas})
    known = {name: plan.listings.get(name, LISTING) for name in names if plan.facts.get(name, FACTS) is not None}
    backends = {
        name: BackendView(
            name=name,
            timeout=plan.timeout,
            stickiness=plan.stickiness,
            balancer=plan.balancer,
            **plan.limits,
            replicas=tuple(replica.status() for replica in replicas if replica.key.backend == name),
            facts=plan.facts.get(name, FACTS),
            listing=known.get(name, Listing()),
        )
        for name in names
    }
    return View("router", version, backends, aggregate(known, plan.naming))


class House:
    """Replicas, and as many ingresses in front of them as a test wants."""

    def __init__(self, replicas: Sequence[Replica], plan: Plan, folder: str) -> None:
        """Sockets are in `folder`."""
        self.replicas = replicas
        self.plan = plan
        self.folder = folder
        self.metrics = MetricsDouble()
        self.clock = HandClock()
        self._doorways: list[Doorway] = []
        self._version = 1

    def doorway(self, router: SessionRouter | None = None) -> Doorway:
        """Another ingress replica, which knows of all replicas and links to them; mostly there is no Router."""
        find_router = _no_router if router is None else router.find
        plan = self.plan
        address = f"unix:{self.folder}/ingress-{len(self._doorways)}"
        dialled: list[CallerLink] = []

        async def dial_backend(address: str, backend: str, on_lost: Callable[[str], None]) -> CallerLink:
            link = await dial(address, KEYS, backend=backend, on_closed=on_lost)
            dialled.append(link)
            return link

        links = Links("here", dial_backend, random.Random(3).random)
        outlook = Outlook(_no_router, links.update)
        metrics: Any = self.metrics
        tallying = Tallying("test", lambda: metrics, links.ejected)
        assembly = Assembly(
            outlook,
            links,
            tallying,
            SECRET,
            find_router,
            keys=KEYS,
            idle_seconds=1800.0,
            dice=random.Random(4).random,
            node="here",
            addresses=lambda: (address, None),
            clock=self.clock,
            wall_clock=self.clock,
            limiting=Limiting(
                plan.allowed,
                find_router,
                tallying.note,
                source=address,
                replicas=plan.ingresses,
                clock=self.clock,
            ),
            keep_alive_seconds=plan.keep_alive,
            grace_seconds=plan.grace,
            recorder=plan.recorder,
        )
        ingress = Ingress(
            plan.server,
            outlook,
            Reception(self._authentication(), outlook, peer_of, plan.policy, self.clock),
            assembly,
            lambda: self.metrics,  # type: ignore[arg-type, return-value]
            body_seconds=plan.body_seconds,
            metadata=None if plan.auth is None else Metadata(plan.auth, OwnUrl(plan.auth.public_url)),
        )
        outlook.adopt(view_of(self.replicas, plan, self._version))
        doorway = Doorway(ingress, links, outlook, tallying, assembly, dialled)
        self._doorways.append(doorway)
        return doorway

    def _authentication(self) -> Authentication:
        auth = self.plan.auth
        if auth is None:
            return Authentication(self.plan.verify, self.clock)
        own_url = OwnUrl(auth.public_url)
        challenges, proofs = Challenges(auth, own_url), Proofs(own_url, self.clock)
        return Authentication(self.plan.verify, self.clock, challenges=challenges, proofs=proofs)

    def publish(self) -> None:
        """Tell every ingress what there is now."""
        self._version += 1
        for doorway in self._doorways:
            doorway.outlook.adopt(view_of(self.replicas, self.plan, self._version))

    async def close(self) -> None:
        for doorway in self._doorways:
            doorway.links.close()
            await doorway.assembly.relay.close()


def _no_router() -> Any:
    raise ActorGone("Router")


@asynccontextmanager
async def house(*replicas: Replica, plan: Plan | None = None) -> AsyncIterator[House]:
    """Let the replicas listen, each at a unix socket of its own, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="h") as folder:
        built = House(replicas, plan or Plan(), folder)
        for number, replica in enumerate(replicas):
            await replica.listen(f"unix:{Path(folder) / str(number)}")
        try:
            yield built
        finally:
            await built.close()
            await asyncio.gather(*(replica.close() for replica in replicas))


@asynccontextmanager
async def doorway(*replicas: Replica, plan: Plan | None = None) -> AsyncIterator[Doorway]:
    """One ingress in front of the replicas."""
    async with house(*replicas, plan=plan) as built:
        yield built.doorway()
