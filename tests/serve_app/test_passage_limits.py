"""How long a request may take, when it is made again, and when its client is told to come back."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core.listing import Item, Listing
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind
from actors.core.revisions import Era
from actors.core.traffic_settings import RetrySettings
from tests.support.asgi import Conversation
from tests.support.bus import until
from tests.support.house import Plan, Replica, answer, complete, doorway, echo, fail, house, keep
from tests.support.posts import LegacyClient, ModernClient, modern_meta


def tool(name: str, **annotations: bool) -> Item:
    return Item(name, json.dumps({"name": name, "inputSchema": {}, "annotations": annotations}).encode())


LISTINGS = {
    "git": Listing(
        tools=(
            tool("echo"),
            tool("log", readOnlyHint=True),
            tool("tag", idempotentHint=True),
            tool("push", readOnlyHint=False),
        ),
        resources=(Item("file:///a", b'{"uri":"file:///a","name":"a"}'),),
        prompts=(Item("greet", b'{"name":"greet"}'),),
    )
}


def planned(**limits: Any) -> Plan:
    return Plan(listings=LISTINGS, limits=limits)


def progress(exchange: Exchange, number: int) -> None:
    assert exchange.emit(EventKind.PROGRESS, b'{"progress":%d}' % number)


# --- time ---


async def test_a_tool_has_its_own_limit_and_the_others_that_of_their_backend() -> None:
    replica = Replica()
    async with doorway(replica, plan=planned(timeouts={"log": 600.0})) as gateway:
        for name in ("git__log", "git__echo"):
            await ModernClient(gateway).call(name)
        await ModernClient(gateway).ask("resources/read", {"uri": "file:///a"})

    assert [exchange.call.time_left for exchange in replica.exchanges] == [600.0, 30.0, 30.0]


async def test_a_call_that_reports_progress_is_not_cut_off() -> None:
    replica = Replica(behave=keep)
    plan = Plan(timeout=0.5, grace=0.1)
    async with doorway(replica, plan=plan) as gateway:
        conversation = ModernClient(gateway).start(
            "tools/call", {"name": "git__echo"}, meta=modern_meta(progressToken=1)
        )
        await conversation.until(lambda _: bool(replica.running))
        exchange = replica.running[0]
        async with asyncio.timeout(10):
            for number in range(1, 9):
                progress(exchange, number)
                await asyncio.sleep(0.1)
        answer(exchange, complete({"done": True}))
        answered = await conversation.answered()

    assert answered.events[-1]["result"]["done"] is True


async def test_progress_does_not_help_for_ever() -> None:
    replica = Replica(behave=keep)
    plan = Plan(timeout=0.05, grace=0.05, limits={"max_timeout": 0.2})
    async with doorway(replica, plan=plan) as gateway:
        conversation = ModernClient(gateway).start(
            "tools/call", {"name": "git__echo"}, meta=modern_meta(progressToken=1)
        )
        await conversation.until(lambda _: bool(replica.running))
        ticking = asyncio.create_task(_tick(replica.running[0]))
        answered = await conversation.answered()
        ticking.cancel()
        await until(lambda: replica.cancellations == ["timeout"])

    assert answered.events[-1]["error"]["data"]["reason"] == "timeout"


async def _tick(exchange: Exchange) -> None:
    for number in range(1, 1000):
        exchange.emit(EventKind.PROGRESS, b'{"progress":%d}' % number)
        await asyncio.sleep(0.01)


# --- again ---


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "git__log"}),
        ("tools/call", {"name": "git__tag"}),
        ("resources/read", {"uri": "file:///a"}),
        ("prompts/get", {"name": "git__greet"}),
    ],
)
@pytest.mark.parametrize("kind", [FailureKind.DISCONNECTED, FailureKind.PROTOCOL])
async def test_what_does_no_harm_twice_is_done_again_elsewhere(
    kind: FailureKind, method: str, params: dict[str, Any]
) -> None:
    failing, willing = Replica(behave=fail(kind)), Replica(index=1)
    async with doorway(failing, willing, plan=planned()) as gateway:
        await gateway.linked(2)
        answers = [(await ModernClient(gateway).ask(method, params)).json for _ in range(5)]

    assert all("result" in answered for answered in answers)
    assert len(willing.exchanges) == 5
    assert failing.exchanges


@pytest.mark.parametrize("name", ["git__echo", "git__push"])
@pytest.mark.parametrize("path", ["/mcp", "/servers/git/mcp"])
async def test_what_may_do_harm_is_never_done_again(name: str, path: str) -> None:
    replicas = [Replica(index=index, behave=fail(FailureKind.DISCONNECTED)) for index in range(2)]
    async with doorway(*replicas, plan=planned()) as gateway:
        await gateway.linked(2)
        own = name if path == "/mcp" else name.removeprefix("git__")
        for _ in range(5):
            answered = await ModernClient(gateway, path).call(own)
            assert answered.json["error"]["data"]["reason"] == "disconnected"

    assert sum(len(replica.exchanges) for replica in replicas) == 5


async def test_a_call_that_only_reads_is_hedged_and_answered_once() -> None:
    slow, quick = Replica(behave=keep), Replica(index=1)
    async with doorway(slow, quick, plan=planned(retry=RetrySettings(hedge_after=0.01))) as gateway:
        await gateway.linked(2)
        answers: list[Conversation] = []
        while not slow.exchanges:
            answers.append(await ModernClient(gateway).call("git__log"))
        await until(lambda: bool(slow.cancellations))

    assert all("result" in answered.json for answered in answers)
    assert len(quick.exchanges) == len(answers)


async def test_a_call_that_changes_something_is_not_hedged() -> None:
    replicas = [Replica(index=index, behave=keep) for index in range(2)]
    async with doorway(*replicas, plan=planned(retry=RetrySettings(hedge_after=0.001))) as gateway:
        await gateway.linked(2)
        for name in ("git__tag", "git__echo"):
            conversation = ModernClient(gateway).start("tools/call", {"name": name})
            await until(lambda: any(replica.running for replica in replicas))
            await asyncio.sleep(0.02)
            running = [exchange for replica in replicas for exchange in replica.running]
            assert len(running) == 1
            echo(running[0])
            await conversation.answered()


async def test_a_client_that_leaves_takes_both_attempts_of_a_hedged_call_along() -> None:
    replicas = [Replica(index=index, behave=keep) for index in range(2)]
    async with doorway(*replicas, plan=planned(retry=RetrySettings(hedge_after=0.001))) as gateway:
        await gateway.linked(2)
        conversation = ModernClient(gateway).start("tools/call", {"name": "git__log"})
        await until(lambda: all(replica.running for replica in replicas))
        await conversation.leave()

        await until(lambda: all(replica.cancellations for replica in replicas))


# --- come back later ---


@pytest.mark.parametrize("era", Era)
@pytest.mark.parametrize(("seconds", "header"), [(0.2, "1"), (1.0, "1"), (2.1, "3"), (30.0, "30")])
async def test_a_failure_that_says_when_to_come_back_says_so_in_a_header(era: Era, seconds: float, header: str) -> None:
    busy = Failure(FailureKind.BUSY, "git", retry_after=seconds)
    async with doorway(Replica(behave=lambda exchange: exchange.finish(busy))) as gateway:
        if era is Era.MODERN:
            answered = await ModernClient(gateway).call("git__echo")
        else:
            legacy = LegacyClient(gateway)
            await legacy.initialize()
            answered = await legacy.ask("tools/call", {"name": "git__echo"})

    assert answered.header("retry-after") == header
    assert answered.json["error"]["data"]["retryAfter"] == seconds
    assert answered.status == 200


async def test_a_failure_that_does_not_know_when_says_nothing() -> None:
    async with doorway(Replica(behave=fail(FailureKind.BUSY))) as gateway:
        answered = await ModernClient(gateway).call("git__echo")

    assert answered.header("retry-after") is None


# --- asleep ---


class WakingRouter:
    """A Router that starts a replica of whoever is woken."""

    def __init__(self, started: Callable[[], None]) -> None:
        self.woken: list[str] = []
        self._started = started

    def find(self) -> "WakingRouter":
        return self

    def wake(self, backend: str) -> None:
        self.woken.append(backend)
        asyncio.get_running_loop().call_soon(self._started)


async def test_the_first_call_to_a_backend_that_is_asleep_has_it_started_and_is_answered() -> None:
    replica = Replica()
    replica.state = ReplicaState.DRAINING
    async with house(replica, plan=planned(wakes=True, start_timeout=5.0)) as built:

        def start() -> None:
            replica.state = ReplicaState.UP
            built.publish()

        router = WakingRouter(start)
        answered = await ModernClient(built.doorway(router)).call("git__echo")

    assert "result" in answered.json
    assert router.woken == ["git"]


async def test_a_backend_that_is_asleep_while_the_router_is_away_fails_by_name_after_a_while() -> None:
    replica = Replica()
    replica.state = ReplicaState.DRAINING
    async with doorway(replica, plan=planned(wakes=True, start_timeout=0.02)) as gateway:
        answered = await ModernClient(gateway).call("git__echo")

    assert answered.json["error"]["data"] == {"reason": "unavailable", "backend": "git"}
    assert "did not start in time" in answered.json["error"]["message"]
