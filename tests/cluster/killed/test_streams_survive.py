"""Streams and sessions, and what was asked, under fire: an ingress replica, the Router, a Backend are killed."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import aiohttp
import pytest

from tests.support.cluster import KEYS, PAIR, Cluster
from tests.support.cluster_actors import Actor
from tests.support.cluster_callers import META, Caller, Json
from tests.support.cluster_streams import Stream, Streamer
from tests.support.fixture_tools import COUNTER_URI
from tests.support.processes import eventually

pytestmark = pytest.mark.cluster

CLIENTS: Final = 8

STEPS: Final = 120
INTERVAL_MS: Final = 50
UPDATED: Final = "notifications/resources/updated"
LIST_CHANGED: Final = "notifications/tools/list_changed"


@asynccontextmanager
async def streamers(cluster: Cluster, url: str, count: int) -> AsyncIterator[list[Streamer]]:
    """Clients with a session each, from a moment when everything is up and both ingress replicas get requests."""

    async def both_get_requests() -> bool:
        before = await cluster.connections()
        async with opened(4) as clients:
            streams = [client.listen() for client in clients]
            await eventually(lambda: all(stream.last_event_id for stream in streams), 20)
            return all(count > before.get(replica, count) for replica, count in (await cluster.connections()).items())

    @asynccontextmanager
    async def opened(count: int) -> AsyncIterator[list[Streamer]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(Streamer(url, KEYS["callers"])) for _ in range(count)]

    await cluster.whole()
    await eventually(both_get_requests, 60)
    async with opened(count) as clients:
        yield clients


async def busiest(cluster: Cluster, before: dict[Actor, int]) -> Actor:
    """The ingress replica that has got the most connections since."""
    now = await cluster.connections()
    return max(now, key=lambda replica: now[replica] - before[replica])


async def touch(client: Streamer) -> None:
    """Change the resource that everybody follows."""
    assert "result" in await client.ask("tools/call", {"name": "touch", "arguments": {}})


def updates(stream: Stream) -> int:
    return len(stream.of(UPDATED))


async def follow(clients: list[Streamer]) -> list[Stream]:
    """Let everybody follow the counter, and hear of it once."""
    for client in clients:
        assert "result" in await client.ask("resources/subscribe", {"uri": COUNTER_URI})
    told = [client.listen() for client in clients]
    await eventually(lambda: all(stream.last_event_id for stream in told), 20)
    before = [updates(stream) for stream in told]
    await touch(clients[0])
    await eventually(lambda: all(updates(stream) > old for stream, old in zip(told, before, strict=True)), 20)
    return told


async def test_clients_whose_ingress_dies_read_on_at_the_other_and_miss_nothing(cluster: Cluster) -> None:
    async with streamers(cluster, cluster.running.url, CLIENTS) as clients:
        before = await cluster.connections()
        texts = [cluster.text() for _ in clients]
        streams = [
            client.call(PAIR.tool, {"text": text, "steps": STEPS, "interval_ms": INTERVAL_MS})
            for client, text in zip(clients, texts, strict=True)
        ]
        await eventually(lambda: all(len(stream.messages) >= 3 for stream in streams), 20)
        victim = await busiest(cluster, before)

        async with cluster.without_replacement():
            victim.kill()
            await eventually(lambda: all(stream.answer for stream in streams), 60)

    for stream, text in zip(streams, texts, strict=True):
        assert [params["progress"] for params in stream.of("notifications/progress")] == list(range(1, STEPS + 1))
        assert stream.messages[-1]["result"]["content"] == [{"type": "text", "text": text}]
        assert len(stream.messages) == STEPS + 1
    assert sum(stream.connections > 1 for stream in streams) >= CLIENTS // 2
    assert set(texts) <= {note.text for note in cluster.notes()}
    assert cluster.ran_twice() == []


async def test_what_changed_while_no_ingress_held_a_stream_is_told_when_its_client_is_back(cluster: Cluster) -> None:
    async with streamers(cluster, cluster.running.server_url("fixture"), CLIENTS) as (changes, *clients):
        before = await cluster.connections()
        told = await follow(clients)
        victim = await busiest(cluster, before)

        async with cluster.without_replacement():
            victim.kill()
            await eventually(lambda: any(stream.ended.is_set() for stream in told), 20)
            heard = {id(each): updates(each) for each in told}
            await touch(changes)
            answer = await changes.ask("tools/call", {"name": "change_tools", "arguments": {}})
            added = answer["result"]["content"][0]["text"]

            async def listed() -> bool:
                tools = (await changes.ask("tools/list", {}))["result"]["tools"]
                return added in {tool["name"] for tool in tools}

            def knows(stream: Stream) -> bool:
                return updates(stream) > heard[id(stream)] and bool(stream.of(LIST_CHANGED))

            await eventually(listed, 20)
            await eventually(lambda: all(knows(each) or each.ended.is_set() for each in told), 20)
            lost = [(client, each) for client, each in zip(clients, told, strict=True) if each.ended.is_set()]
            assert not any(knows(stream) for _, stream in lost)
            for client, stream in lost:
                client.listen(stream)
            await eventually(lambda: all(knows(stream) for _, stream in lost), 20)
            heard = {id(each): updates(each) for each in told}
            await touch(changes)
            await eventually(lambda: all(updates(each) > heard[id(each)] for each in told), 20)

    assert lost


async def test_a_question_whose_backend_dies_is_a_clean_error_and_the_tool_ran_once(cluster: Cluster) -> None:
    capabilities: Json = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}

    def consent(text: str, **retry: Any) -> Json:
        return {"name": "asking__consent", "arguments": {"text": text}, "_meta": META | capabilities, **retry}

    async def asked(caller: Caller, text: str) -> Json:
        """The parameters that continue a call which waits."""
        result = (await caller.ask("tools/call", consent(text)))["result"]
        assert result["resultType"] == "input_required"
        answer = {"action": "accept", "content": {"name": "me"}}
        responses = dict.fromkeys(result["inputRequests"], answer)
        return consent(text, inputResponses=responses, requestState=result["requestState"])

    await cluster.whole()
    lost, other = cluster.text(), cluster.text()
    errors: list[Json] = []
    async with cluster.caller() as caller:
        retry = await asked(caller, lost)
        victim = await cluster.actors.one("Backend:asking:0")

        async def is_disconnected() -> bool:
            errors.append((await caller.ask("tools/call", retry))["error"])
            return bool(errors[-1]["data"]["reason"] == "disconnected")

        victim.kill()
        await eventually(is_disconnected, 40)
        await cluster.whole()
        await eventually(is_disconnected, 40)  # the other ingress replica may hear of the new life a little later
        answer = await caller.ask("tools/call", await asked(caller, other))

    assert {error["code"] for error in errors} == {-32603}
    assert {error["data"]["backend"] for error in errors} == {"asking"}
    assert {error["data"]["reason"] for error in errors} <= {"unavailable", "disconnected"}
    assert errors[-1]["data"]["reason"] == "disconnected"
    assert answer["result"]["content"] == [{"type": "text", "text": other}]
    assert [note.text for note in cluster.notes() if note.text in (lost, other)] == [lost, other]


async def test_sessions_and_subscriptions_outlive_the_router_and_end_when_their_clients_say_so(
    cluster: Cluster,
) -> None:
    url = cluster.running.server_url("fixture")
    async with streamers(cluster, url, 3) as clients:
        stays, leaves_before, leaves_after = clients
        told = await follow(clients)
        router = await cluster.actors.one("Router")

        router.kill()
        assert await leaves_before.end() == 204
        async with Streamer(url, KEYS["callers"]) as newcomer:
            heard = updates(told[0])
            await touch(newcomer)
            await eventually(lambda: updates(told[0]) > heard, 20)
            await cluster.actors.back(router)
            await cluster.whole()
            heard = updates(told[0])
            await touch(newcomer)
            await eventually(lambda: updates(told[0]) > heard, 20)
            assert await leaves_after.end() == 204
            await eventually(lambda: told[1].ended.is_set() and told[2].ended.is_set(), 20)
            for gone in (leaves_before, leaves_after):
                await gone_everywhere(gone)
            for alive in (stays, newcomer):
                for _ in range(6):
                    assert (await alive.ask("ping", {}))["result"] == {}
            assert not told[0].ended.is_set()


async def gone_everywhere(client: Streamer) -> None:
    """Wait until the session is unknown at every ingress replica, and stays so."""
    statuses: list[int] = []

    async def unknown() -> bool:
        try:
            statuses.append((await client.post("ping", {}))[0])
        except aiohttp.ClientError:
            statuses.append(0)
        return statuses[-8:] == [404] * 8

    await eventually(unknown, 30)
