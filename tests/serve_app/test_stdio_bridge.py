"""What holds for a client of either era at the bridge: nonsense, limits, its end."""

import asyncio
import json
from typing import Any

from aiohttp import web

from actors.core import sse
from serve_app.stdio.bridge import Bridge, Limits
from serve_app.stdio.endpoint import Endpoint, GatewayGone
from serve_app.stdio.streams import Output
from tests.support.bridge_client import result, talking
from tests.support.http_servers import event_answer
from tests.support.processes import eventually
from tests.support.sdk_client import MODERN_META

LISTEN = {"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": {"_meta": MODERN_META}}


def modern(request_id: Any, method: str = "prompts/list") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {"_meta": MODERN_META}}


async def hangs(request: web.Request, message: Any) -> web.StreamResponse:
    response = await event_answer(request, sse.comment())
    await asyncio.sleep(60)
    return response


async def test_nonsense_is_answered_and_blank_lines_are_not_and_the_next_request_is() -> None:
    async with talking() as (client, gateway):
        client.say(b"nonsense", b"", b" \r", modern(1))
        nonsense, answer = await client.hear(), await client.hear()

    assert (nonsense["id"], nonsense["error"]["code"]) == (None, -32700)
    assert answer["id"] == 1
    assert len(gateway.heard) == 1


async def test_a_line_may_end_as_windows_ends_lines() -> None:
    async with talking() as (client, _):
        client.say(json.dumps(modern(1)).encode() + b"\r")

        assert (await client.hear())["id"] == 1


async def test_a_line_over_the_limit_is_refused_and_the_next_is_served() -> None:
    async with talking(limits=Limits(max_line_bytes=2000)) as (client, gateway):
        client.say({"jsonrpc": "2.0", "id": 5, "method": "x", "params": {"text": "x" * 3000}}, modern(6))
        refused, answer = await client.hear(), await client.hear()

    assert (refused["id"], refused["error"]["code"]) == (5, -32600)
    assert answer["id"] == 6
    assert len(gateway.heard) == 1


async def test_an_id_that_is_still_open_is_refused_and_the_open_one_goes_on() -> None:
    go_on = asyncio.Event()

    async def waits(request: web.Request, message: Any) -> web.StreamResponse:
        await go_on.wait()
        return web.json_response(result(message, {"method": message["method"]}))

    async with talking(waits) as (client, gateway):
        client.say(modern(1, "first"))
        await eventually(lambda: gateway.heard)
        client.say(modern(1, "second"))
        refused = await client.hear()
        go_on.set()
        answer = await client.hear()
        client.say(modern(1, "third"))
        again = await client.hear()

    assert "still open" in refused["error"]["message"]
    assert (answer["result"]["method"], again["result"]["method"]) == ("first", "third")


async def test_more_requests_than_may_be_open_are_refused_at_once() -> None:
    async with talking(hangs, limits=Limits(max_open=3, answer_seconds=0.05)) as (client, _):
        client.say(*(modern(number) for number in range(4)))
        refused = await client.hear()

    assert refused["id"] == 3
    assert refused["error"]["data"] == {"reason": "busy"}


async def test_more_bytes_than_may_be_open_are_refused_at_once() -> None:
    async with talking(hangs, limits=Limits(max_open_bytes=1000, answer_seconds=0.05)) as (client, _):
        client.say(modern(1), modern("x" * 500), modern("y" * 500))
        refused = await client.hear()

    assert refused["id"] == "y" * 500
    assert refused["error"]["data"] == {"reason": "busy"}


async def test_two_hundred_requests_at_once_get_their_own_answers() -> None:
    async with talking() as (client, _):
        client.say(*(modern(number, f"m{number}") for number in range(200)))
        answers = [await client.hear() for _ in range(200)]

    assert {answer["id"]: answer["result"]["did"] for answer in answers} == {
        number: f"m{number}" for number in range(200)
    }


async def test_a_slow_client_slows_the_gateway_down_and_loses_nothing() -> None:
    size, count = 200_000, 200
    sent = 0
    seen: list[int] = []

    def stuck() -> bool:
        seen.append(sent)
        return seen[-10:] == [sent] * 10

    async def floods(request: web.Request, message: Any) -> web.StreamResponse:
        nonlocal sent
        response = await event_answer(request)
        for number in range(count):
            note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"n": number, "x": "x" * size}}
            await response.write(sse.event(json.dumps(note).encode()))
            sent += 1
        await response.write(sse.event(json.dumps(result(message, {})).encode()))
        return response

    async with talking(floods) as (client, _):
        client.hearing.pause_reading()
        client.say(modern(1))
        await eventually(lambda: sent)
        await eventually(stuck)
        held = sent
        client.hearing.resume_reading()
        heard = [await client.hear() for _ in range(count + 1)]

    assert held < count, "the gateway could write everything although nobody read"
    assert [one["params"]["n"] for one in heard[:-1]] == list(range(count))
    assert heard[-1]["id"] == 1


async def test_at_the_end_of_input_running_calls_are_answered_and_subscriptions_ended() -> None:
    closed = asyncio.Event()

    async def answers_late(request: web.Request, message: Any) -> web.StreamResponse:
        if message["method"] != "subscriptions/listen":
            await asyncio.sleep(0.1)
            return web.json_response(result(message, {}))
        try:
            return await hangs(request, message)
        finally:
            closed.set()

    async with talking(answers_late) as (client, gateway):
        client.say(LISTEN, modern(2))
        await eventually(lambda: len(gateway.heard) == 2)
        client.leave()
        answer = await client.hear()
        await eventually(closed.is_set)

    assert answer["id"] == 2


async def test_a_call_that_does_not_end_is_given_up_at_the_end_of_input() -> None:
    closed = asyncio.Event()

    async def never(request: web.Request, message: Any) -> web.StreamResponse:
        try:
            return await hangs(request, message)
        finally:
            closed.set()

    async with talking(never, limits=Limits(answer_seconds=0.05)) as (client, gateway):
        client.say(modern(1))
        await eventually(lambda: gateway.heard)
        client.leave()
        await eventually(closed.is_set)


async def test_requests_wait_for_a_gateway_that_starts_and_hear_why_there_will_be_none() -> None:
    starting = asyncio.Event()

    async def ready() -> None:
        await starting.wait()
        raise GatewayGone("it exited with code 2")

    class Written(Output):
        def __init__(self) -> None:
            super().__init__(-1)
            self.lines: list[bytes] = []

        async def write(self, message: bytes) -> None:
            self.lines.append(message)

    out = Written()
    bridge = Bridge(out, Endpoint("http://127.0.0.1:9/mcp", {}, ready))
    await bridge._take(json.dumps(modern(1)).encode())
    starting.set()
    await eventually(lambda: out.lines)
    await bridge.close()

    assert "it exited with code 2" in json.loads(out.lines[0])["error"]["message"]
