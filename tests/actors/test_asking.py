"""Our own requests: numbered once, answered once, never waited for without a limit."""

import asyncio
import json

import pytest

from actors.core.jsonrpc import Message
from actors.core.outcome import FailureKind
from actors.transports.memory import MemoryTransport
from actors.upstream.asking import Asking, UpstreamError
from tests.support.recorder import LIMIT
from tests.support.upstreams import SILENCE, TableServer, always, memory_to, refuse


async def refusal_of(transport: MemoryTransport, method: str = "ask", limit: float = LIMIT) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await Asking(transport).ask(method, b"{}", limit=limit)
    return caught.value


async def test_the_result_comes_back_as_it_was_sent():
    transport = await memory_to(lambda message: [b'{"id":%b, "result": {"x":1,  "x-new":[ ]} }' % message.id])

    assert await Asking(transport).ask("ask", b"{}", limit=LIMIT) == b'{"x":1,  "x-new":[ ]}'


async def test_no_id_is_used_twice():
    server = TableServer({"ask": always({})})
    asking = Asking(await memory_to(server))

    await asyncio.gather(*(asking.ask("ask", b"{}", limit=LIMIT) for _ in range(50)))
    taken = asking.next_id()

    ids = [*server.ids_of("ask"), taken]
    assert len(set(ids)) == 51


async def test_shuffled_answers_each_reach_their_own_question():
    transport = await memory_to(lambda _: ())
    asking = Asking(transport)
    questions = [asyncio.ensure_future(asking.ask("ask", b"{}", limit=LIMIT)) for _ in range(30)]
    await asyncio.sleep(0)

    for sent in sorted(transport.requests, key=lambda sent: int(bytes(sent.message.id)) * 7 % 31):
        transport.deliver(b'{"id":%b,"result":{"n":%b}}' % (sent.message.id, sent.message.id))

    answers = [json.loads(answer)["n"] for answer in await asyncio.gather(*questions)]
    assert answers == [int(bytes(sent.message.id)) for sent in transport.requests]


async def test_an_error_is_told_with_its_code():
    transport = await memory_to(TableServer({"ask": refuse(-32601, "no such thing")}))

    refusal = await refusal_of(transport)

    assert refusal.error is not None
    assert refusal.error.code == -32601
    assert str(refusal) == "no such thing (-32601)"
    assert refusal.answered


async def test_an_error_that_is_none_is_an_answer_all_the_same():
    transport = await memory_to(lambda message: [b'{"id":%b,"error":"oops"}' % message.id])

    refusal = await refusal_of(transport)

    assert refusal.kind is FailureKind.PROTOCOL
    assert refusal.answered


async def test_silence_ends_at_the_limit_and_a_late_answer_disturbs_nobody():
    transport = await memory_to(TableServer({"ask": SILENCE}))

    refusal = await refusal_of(transport, limit=0.01)
    transport.deliver(b'{"id":1,"result":{}}')

    assert refusal.kind is FailureKind.TIMEOUT
    assert not refusal.answered
    assert list(transport.dropped) == [1]


async def test_a_lost_connection_is_told_as_such():
    transport = await memory_to(TableServer({"ask": SILENCE}))
    asyncio.get_running_loop().call_soon(transport.lose, "it crashed")

    refusal = await refusal_of(transport)

    assert refusal.kind is FailureKind.DISCONNECTED
    assert str(refusal) == "it crashed"
    assert not refusal.answered


async def test_a_connection_that_is_not_there_is_told_at_once():
    refusal = await refusal_of(MemoryTransport())

    assert refusal.kind is FailureKind.UNAVAILABLE


async def test_what_comes_along_with_an_answer_is_unsolicited():
    heard: list[Message] = []
    transport = await memory_to(
        lambda message: [
            b'{"method":"notifications/progress","params":{"progressToken":%b,"progress":1}}' % message.id,
            b'{"id":%b,"result":{}}' % message.id,
        ]
    )
    transport.unsolicited = heard.append

    await Asking(transport).ask("ask", b"{}", limit=LIMIT)

    assert [message.method for message in heard] == ["notifications/progress"]


# --- requests whose result nobody waits for ---


async def tell(transport: MemoryTransport, limit: float = LIMIT) -> UpstreamError | None:
    """Tell the server something, and wait for what became of it."""
    told: asyncio.Future[UpstreamError | None] = asyncio.get_running_loop().create_future()
    Asking(transport).tell("tell", b'{"a":1}', limit=limit, done=told.set_result)
    assert not told.done()
    async with asyncio.timeout(LIMIT):
        return await told


async def test_what_is_told_leaves_at_once_and_before_anything_that_is_asked_after_it():
    server = TableServer({"tell": always({}), "ask": always({})})
    asking = Asking(await memory_to(server))

    asking.tell("tell", b"{}", limit=LIMIT, done=lambda _: None)
    at_once = list(server.methods)
    await asking.ask("ask", b"{}", limit=LIMIT)

    assert at_once == ["tell"]
    assert server.methods == ["tell", "ask"]


async def test_it_is_said_once_whether_it_was_done():
    assert await tell(await memory_to(TableServer({"tell": always({})}))) is None


async def test_a_refusal_is_said():
    refusal = await tell(await memory_to(TableServer({"tell": refuse(-32601, "no such thing")})))

    assert str(refusal) == "no such thing (-32601)"


async def test_silence_after_it_ends_at_the_limit_and_is_not_listened_to_any_more():
    transport = await memory_to(TableServer({"tell": SILENCE}))

    refusal = await tell(transport, limit=0.01)

    assert refusal is not None
    assert refusal.kind is FailureKind.TIMEOUT
    assert list(transport.dropped) == [1]


async def test_without_a_connection_that_is_said_too():
    refusal = await tell(MemoryTransport())

    assert refusal is not None
    assert refusal.kind is FailureKind.UNAVAILABLE
