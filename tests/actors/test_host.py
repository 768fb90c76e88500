"""A process of several Backends: each lives for itself, and all come back when the process does."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from actors.backend import Backend
from actors.bus.dialer import dial
from actors.consent_desk import NO_CONSENTS
from actors.core.breaker import State
from actors.core.consent import ConsentBegun
from actors.core.endpoints import StdioEndpoint
from actors.core.membership import ReplicaKey, ReplicaState
from actors.core.outcome import Outcome
from actors.core.settings import BackendSettings
from actors.host import BackendHost, Holding
from actors.refs.gone import ActorGone
from actors.transports.memory import MemoryTransport
from tests.support.backends import outcome_of
from tests.support.bus import KEYS, exchange_id
from tests.support.control_plane import RecordingRouter
from tests.support.recorder import LIMIT
from tests.support.upstreams import always, handshake_server, tool_call

OK = always({"content": []})
ONE, TWO = ReplicaKey("one", 0), ReplicaKey("two", 0)


def holding(key: ReplicaKey) -> Holding:
    return key, BackendSettings(name=key.backend, endpoint=StdioEndpoint(command="server")), 0


@dataclass
class Process:
    """A host and the servers of its Backends, by the names of these."""

    folder: str
    made: list[ReplicaKey] = field(default_factory=list)
    fails: set[ReplicaKey] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.host = BackendHost(self.make)

    def make(self, key: ReplicaKey, settings: BackendSettings, slot: int) -> Backend:
        if key in self.fails:
            raise PermissionError("no folder for sockets")
        server = handshake_server()
        server.answers["tools/call"] = OK
        self.made.append(key)
        return Backend(
            settings,
            key,
            epoch=f"e{len(self.made)}",
            node="n1",
            keys=KEYS,
            addresses=(f"unix:{self.folder}/{len(self.made)}", None),
            router=RecordingRouter(),
            connect=lambda _: MemoryTransport(server=server),
            dice=lambda: 0.0,
        )

    async def call(self, key: ReplicaKey) -> Outcome:
        """Call its tool over a link of its own."""
        status = await self.host.begin(*holding(key))
        link = await dial(status.address, KEYS, backend=key.backend)
        try:
            return await outcome_of(link.open(tool_call(), exchange_id(1)))
        finally:
            link.close()


@asynccontextmanager
async def process() -> AsyncIterator[Process]:
    with tempfile.TemporaryDirectory(prefix="ho") as folder:
        running = Process(folder)
        yield running
        for key in set(running.made):
            await running.host.stop(key, 0.0)


class Memory:
    """What the Router answers, one after the other; the last for ever."""

    def __init__(self, *answers: Sequence[Holding] | ActorGone) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self) -> Sequence[Holding]:
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, ActorGone):
            raise answer
        return answer


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


async def test_each_has_an_address_and_a_breaker_of_its_own() -> None:
    async with process() as running:
        statuses = [await running.host.begin(*holding(key)) for key in (ONE, TWO)]
        await running.host.trip(ONE)

        outcomes: list[Any] = [await running.call(key) for key in (ONE, TWO)]

        assert [status.key for status in statuses] == [ONE, TWO]
        assert len({status.address for status in statuses}) == 2
        assert outcomes[0].kind == "breaker_open"
        assert outcomes[1].body


async def test_a_breaker_is_reset_where_it_was_tripped() -> None:
    async with process() as running:
        await running.host.begin(*holding(ONE))
        await running.host.trip(ONE)

        await running.host.reset(ONE)

        assert running.host._held[ONE].load().breaker is State.CLOSED


async def test_begun_twice_it_is_there_once() -> None:
    async with process() as running:
        first, second = await asyncio.gather(*(running.host.begin(*holding(ONE)) for _ in range(2)))

        assert first.epoch == second.epoch
        assert running.made == [ONE]


async def test_stopping_one_leaves_the_others_alone() -> None:
    async with process() as running:
        for key in (ONE, TWO):
            await running.host.begin(*holding(key))

        await running.host.stop(ONE, 0.0)
        await running.host.stop(ONE, 0.0)

        assert [running.host.holds(key) for key in (ONE, TWO)] == [False, True]
        assert (await running.host.begin(*holding(TWO))).state is ReplicaState.UP


async def test_a_process_that_restarts_holds_what_the_router_remembers() -> None:
    async with process() as running:
        await running.host.recover(Memory([holding(ONE), holding(TWO)]))

        assert sorted(running.made) == [ONE, TWO]
        assert (await running.host.begin(*holding(ONE))).state is ReplicaState.UP


async def test_a_router_that_has_just_started_is_asked_until_it_knows() -> None:
    async with process() as running:
        memory = Memory([], [], [holding(ONE)])

        await running.host.recover(memory, no_sleep)

        assert memory.asked == 3
        assert running.host.holds(ONE)


async def test_a_process_that_was_told_anew_asks_no_more() -> None:
    async with process() as running:
        asking = asyncio.create_task(running.host.recover(Memory([]), no_sleep))
        await running.host.begin(*holding(ONE))

        await asyncio.wait_for(asking, LIMIT)

        assert running.made == [ONE]


async def test_a_router_that_is_gone_is_asked_another_time() -> None:
    async with process() as running:
        memory = Memory(ActorGone("RayActorError"), [holding(ONE)])

        with pytest.raises(ActorGone):
            await running.host.recover(memory)
        await running.host.recover(memory)

        assert running.host.holds(ONE)


async def test_what_was_stopped_while_the_router_was_asked_does_not_come_back() -> None:
    async with process() as running:
        answered = asyncio.Event()

        async def ask() -> Sequence[Holding]:
            await answered.wait()
            return [holding(ONE), holding(TWO)]

        recovering = asyncio.create_task(running.host.recover(ask))
        await asyncio.sleep(0)
        await running.host.stop(ONE, 0.0)
        answered.set()
        await asyncio.wait_for(recovering, LIMIT)

        assert running.made == [TWO]


async def test_one_that_cannot_begin_keeps_no_other_from_it_and_is_tried_again() -> None:
    async with process() as running:
        memory = Memory([holding(ONE), holding(TWO)])
        running.fails.add(ONE)

        with pytest.raises(PermissionError):
            await running.host.recover(memory)
        assert running.made == [TWO]
        running.fails.clear()
        await running.host.recover(memory)

        assert running.made == [TWO, ONE]


async def test_consents_are_asked_for_at_the_replica_that_is_meant():
    async with process() as running:
        host = running.host
        await host.begin(*holding(ONE))

        declined = await host.begin_consent(ONE, "ada", "https://gw.example/back")
        said = [await host.finish_consent(ONE, "ada", "state", "code", ""), await host.drop_consent(ONE, "ada")]

        assert not isinstance(declined, ConsentBegun)
        assert {declined.reason, *said} == {NO_CONSENTS}
        assert not await host.has_consent(ONE, "ada")
        with pytest.raises(KeyError):
            await host.begin_consent(TWO, "ada", "https://gw.example/back")
