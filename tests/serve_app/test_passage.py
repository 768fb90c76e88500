"""What happens to a call between the client's POST and its answer: streams, progress, losslessness, many at once."""

import asyncio
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core.outcome import FailureKind, Reply
from actors.core.revisions import Era
from tests.support.asgi import Conversation
from tests.support.bus import until
from tests.support.house import Plan, Replica, answer, arguments_of, complete, doorway, fail, keep
from tests.support.posts import LegacyClient, ModernClient, modern_meta

ECHO = {"name": "git__echo"}


def progress(exchange: Exchange, **params: Any) -> None:
    assert exchange.emit(EventKind.PROGRESS, json.dumps({"progressToken": 77, **params}).encode())


async def started(replica: Replica, conversation: Conversation) -> Exchange:
    """The exchange of the call that has just been sent."""
    await conversation.until(lambda _: bool(replica.running))
    return replica.running[-1]


async def test_an_outcome_that_comes_first_is_plain_json() -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).call("git__echo", {"a": 1})

    assert answered.header("content-type") == "application/json"
    assert answered.header("content-length") == str(len(answered.body))
    assert answered.json["result"]["got"] == {"a": 1}
    assert len(answered.sent) == 2


@pytest.mark.parametrize("token", ["t", "größe", "", 0, 5, 2**53])
@pytest.mark.parametrize("era", Era)
async def test_progress_turns_the_answer_into_a_stream_and_bears_the_clients_own_token(
    era: Era, token: str | int
) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        if era is Era.MODERN:
            conversation = ModernClient(gateway).start("tools/call", ECHO, meta=modern_meta(progressToken=token))
        else:
            legacy = LegacyClient(gateway)
            await legacy.initialize()
            conversation = legacy.start("tools/call", {**ECHO, "_meta": {"progressToken": token}})
        exchange = await started(replica, conversation)

        progress(exchange, progress=1, message="half", extra=[1])
        await conversation.until(lambda each: len(each.events) == 1)
        progress(exchange, progress=2)
        answer(exchange, complete({"done": True}))
        answered = await conversation.answered()

    notified = [event["params"] for event in answered.events[:-1]]
    assert notified == [
        {"progressToken": token, "progress": 1, "message": "half", "extra": [1]},
        {"progressToken": token, "progress": 2},
    ]
    assert answered.events[-1]["result"]["done"] is True
    assert (answered.status, answered.header("x-accel-buffering")) == (200, "no")
    assert (b"\nid:" in answered.body) is (era is Era.HANDSHAKE)
    assert answered.whole


async def test_progress_that_nobody_asked_for_or_that_is_no_object_is_dropped() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        for meta, params in ((modern_meta(), b'{"progress":1}'), (modern_meta(progressToken=1), b"[1]")):
            conversation = ModernClient(gateway).start("tools/call", ECHO, meta=meta)
            exchange = await started(replica, conversation)
            assert exchange.emit(EventKind.PROGRESS, params)
            assert exchange.emit(EventKind.CHANGED, b"{}")
            answer(exchange, complete({"done": True}))
            answered = await conversation.answered()

            assert not answered.streams
            assert answered.json["result"]["done"] is True


async def test_a_quiet_call_becomes_a_stream_that_shows_signs_of_life() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica, plan=Plan(keep_alive=0.02)) as gateway:
        conversation = ModernClient(gateway).start("tools/call", ECHO)
        exchange = await started(replica, conversation)
        await conversation.until(lambda each: each.body.count(b":") >= 3)
        answer(exchange, complete({"done": True}))
        answered = await conversation.answered()

    assert answered.streams
    assert answered.body.startswith(b":")
    assert [event["result"]["done"] for event in answered.events] == [True]


async def test_a_client_that_takes_no_streams_waits_for_plain_json() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        conversation = ModernClient(gateway).start(
            "tools/call", ECHO, meta=modern_meta(progressToken=1), headers={"accept": "application/json"}
        )
        exchange = await started(replica, conversation)
        progress(exchange, progress=1)
        answer(exchange, complete({"done": True}))
        answered = await conversation.answered()

    assert answered.header("content-type") == "application/json"
    assert answered.json["result"]["done"] is True


async def test_an_error_after_the_stream_began_is_its_last_event() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica, plan=Plan(keep_alive=0.02)) as gateway:
        conversation = ModernClient(gateway).start("tools/call", ECHO)
        exchange = await started(replica, conversation)
        await conversation.until(lambda each: each.streams)
        exchange.finish(Reply(b'{"code":-32602,"message":"no"}', Era.MODERN, is_error=True))
        answered = await conversation.answered()

    assert answered.status == 200
    assert answered.events == [{"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "no"}}]
    assert answered.whole


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.CONSENT])
async def test_a_failure_is_an_error_that_names_the_backend_and_the_reason(kind: FailureKind) -> None:
    async with doorway(Replica(behave=fail(kind))) as gateway:
        answered = await ModernClient(gateway).call("git__echo")

    expected = (400, -32602) if kind is FailureKind.REPLAYED else (200, -32603)
    assert (answered.status, answered.json["error"]["code"]) == expected
    assert answered.json["error"]["data"] == {"reason": kind.value, "backend": "git"}
    assert "'git'" in answered.json["error"]["message"]


async def test_a_backend_that_ends_nothing_is_given_up_and_told_so() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica, plan=Plan(timeout=0.05, grace=0.05)) as gateway:
        answered = await ModernClient(gateway).call("git__echo")
        await until(lambda: bool(replica.cancellations))

    assert answered.json["error"]["data"] == {"reason": "timeout", "backend": "git"}
    assert replica.cancellations == ["timeout"]


@pytest.mark.parametrize("body", [b"", b"5", b"[1]", b'"x"', b"null"])
@pytest.mark.parametrize("is_error", [False, True])
async def test_an_answer_that_is_no_object_is_a_failure_of_the_backend(body: bytes, is_error: bool) -> None:
    broken = Replica(behave=lambda exchange: exchange.finish(Reply(body, Era.MODERN, is_error=is_error)))
    async with doorway(broken) as gateway:
        answered = await ModernClient(gateway).call("git__echo")

    assert answered.json["error"]["data"] == {"reason": "protocol", "backend": "git"}


async def test_what_became_of_calls_is_counted_by_backend_method_and_outcome() -> None:
    broken = Replica("broken", behave=fail(FailureKind.TIMEOUT))
    stuck = Replica("stuck", behave=keep)
    async with doorway(Replica(), broken, stuck) as gateway:
        client = ModernClient(gateway)
        await client.call("git__echo")
        await client.call("broken__echo")
        await client.call("none")
        await client.ask("tools/list")
        conversation = client.start("tools/call", {"name": "stuck__echo"})
        await started(stuck, conversation)
        await conversation.leave()

        counts = {(each.backend, each.method, each.outcome): n for each, n in gateway.tallying.tally.calls.items()}

    assert counts == {
        ("git", "tools/call", "ok"): 1,
        ("broken", "tools/call", "timeout"): 1,
        ("", "tools/call", "error"): 1,
        ("", "tools/list", "ok"): 1,
        ("stuck", "tools/call", "cancelled"): 1,
    }
    assert gateway.tallying.tally.responses == {"2xx": 3, "4xx": 1}


KEYS = st.text(max_size=8).filter(lambda key: key not in {"resultType", "ttlMs", "cacheScope", "_meta"})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


@settings(deadline=None, max_examples=25)
@given(
    objects=st.lists(st.tuples(OBJECTS, OBJECTS, OBJECTS), min_size=1, max_size=8),
    server=st.sampled_from(Era),
    client=st.sampled_from(Era),
    path=st.sampled_from(["/mcp", "/servers/git/mcp"]),
)
def test_arguments_results_and_meta_arrive_as_they_left(
    objects: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]], server: Era, client: Era, path: str
) -> None:
    tool = "git__echo" if path == "/mcp" else "echo"
    results = iter([result for _, result, _ in objects])

    def behave(exchange: Exchange) -> None:
        result = next(results)
        answer(exchange, complete(result) if server is Era.MODERN else result, server)

    async def converse() -> tuple[list[Exchange], list[Any]]:
        replica = Replica(behave=behave)
        async with doorway(replica) as gateway:
            modern, legacy = ModernClient(gateway, path), LegacyClient(gateway, path)
            await legacy.initialize()
            answers = []
            for arguments, _, meta in objects:
                if client is Era.MODERN:
                    answered = await modern.call(tool, arguments, meta=modern_meta(**meta))
                else:
                    params = {"name": tool, "arguments": arguments, "_meta": meta}
                    answered = await legacy.ask("tools/call", params)
                answers.append(answered.json["result"])
        return replica.exchanges, answers

    exchanges, answers = asyncio.run(converse())

    added = {"resultType", "_meta"} if client is Era.MODERN else set()
    for (arguments, result, meta), exchange, answered in zip(objects, exchanges, answers, strict=True):
        assert arguments_of(exchange) == arguments
        assert json.loads(exchange.call.meta) == {key: value for key, value in meta.items() if key != "progressToken"}
        assert {key: value for key, value in answered.items() if key not in added} == result


@pytest.mark.parametrize("seed", range(3))
async def test_two_hundred_callers_over_two_replicas_each_get_their_own_answer(seed: int) -> None:
    dice = random.Random(seed)
    replicas = Replica(behave=keep, index=0), Replica(behave=keep, index=1)
    async with doorway(*replicas) as gateway:
        await gateway.linked(2)
        client = ModernClient(gateway)
        conversations = [client.start("tools/call", {**ECHO, "arguments": {"n": n}}, request_id=1) for n in range(200)]
        await until(lambda: sum(len(replica.running) for replica in replicas) == 200)
        served = [len(replica.running) for replica in replicas]
        exchanges = [exchange for replica in replicas for exchange in replica.running]
        dice.shuffle(exchanges)
        for exchange in exchanges:
            answer(exchange, complete({"n": arguments_of(exchange)["n"]}))
            if dice.random() < 0.1:
                await asyncio.sleep(0)

        answers = [(await conversation.answered()).json["result"]["n"] for conversation in conversations]

    assert answers == list(range(200))
    assert min(served) > 60
