"""The first good answer decides the era; no refusal does, and a server that dies of a question gets another."""

import asyncio
from typing import Any

import pytest

from actors.core import jsonrpc
from actors.core.outcome import FailureKind
from actors.core.revisions import Era
from actors.transports.memory import MemoryTransport
from actors.transports.transport import Transport
from actors.upstream.asking import UpstreamError
from actors.upstream.detect import open_upstream
from actors.upstream.upstream import Upstream
from tests.support.processes import eventually
from tests.support.recorder import LIMIT
from tests.support.upstreams import SILENCE, TableServer, always, handshake_server, modern_server, refuse, ticks


class Starts:
    """Connects to one server after another; the last again and again."""

    def __init__(self, *servers: TableServer | MemoryTransport) -> None:
        self.transports: list[MemoryTransport] = []
        self._servers = list(servers)

    async def __call__(self) -> Transport:
        server = self._servers.pop(0) if len(self._servers) > 1 else self._servers[0]
        transport = server if isinstance(server, MemoryTransport) else MemoryTransport(server)
        self.transports.append(transport)
        await transport.connect()
        return transport

    def lose(self, _: Any = None) -> None:
        """Let the server that runs now die."""
        self.transports[-1].lose("it crashed")

    async def open(self, **options: Any) -> Upstream:
        async with asyncio.timeout(LIMIT):
            return await open_upstream(self, "git", lambda _: None, **{"limit": LIMIT, **options})


def dying(server: TableServer, starts: Starts, method: str, *, after_the_answer: bool = False) -> None:
    """Let the server die of a method."""
    answer = server.answers.get(method, refuse(jsonrpc.METHOD_NOT_FOUND))

    def answer_and_die(params: Any) -> Any:
        loop = asyncio.get_running_loop()
        # a tick later the answer is delivered; only after that may it be gone
        loop.call_soon(loop.call_soon, starts.lose) if after_the_answer else loop.call_soon(starts.lose)
        return answer(params) if after_the_answer else None

    server.answers[method] = answer_and_die


async def test_a_modern_server_is_asked_one_question_only():
    server = modern_server()

    upstream = await Starts(server).open()

    assert upstream.facts.era is Era.MODERN
    assert server.methods == ["server/discover"]


@pytest.mark.parametrize(
    "refusal",
    [
        refuse(jsonrpc.METHOD_NOT_FOUND),
        refuse(jsonrpc.INVALID_REQUEST),
        refuse(jsonrpc.INVALID_PARAMS),
        refuse(jsonrpc.HEADER_MISMATCH),
        refuse(jsonrpc.UNSUPPORTED_REVISION),
        refuse(0),
        always({}),
        always({"supportedVersions": ["2099-01-01"]}),
    ],
)
async def test_any_refusal_leads_to_the_handshake_on_the_same_connection(refusal: Any):
    server = handshake_server()
    server.answers["server/discover"] = refusal
    starts = Starts(server)

    upstream = await starts.open()

    assert upstream.facts.era is Era.HANDSHAKE
    assert len(starts.transports) == 1
    assert server.methods == ["server/discover", "initialize", "notifications/initialized"]


async def test_ids_go_on_from_the_question_to_the_handshake():
    server = handshake_server()

    await Starts(server).open()

    assert server.ids_of("server/discover") != server.ids_of("initialize")


async def test_a_silent_server_is_asked_the_old_way_too():
    server = handshake_server()
    server.answers["server/discover"] = SILENCE

    upstream = await Starts(server).open(probe_seconds=0.01)

    assert upstream.facts.era is Era.HANDSHAKE


async def test_a_modern_server_that_is_slow_to_start_is_still_modern():
    server = modern_server()
    discovered = server.answers["server/discover"]({})
    server.answers["server/discover"] = SILENCE
    server.answers["initialize"] = SILENCE
    starts = Starts(server)
    opening = asyncio.ensure_future(starts.open(probe_seconds=0.01))
    await eventually(lambda: "initialize" in server.methods)

    starts.transports[0].deliver(jsonrpc.result_response(b"1", jsonrpc.encode(discovered)))

    assert (await opening).facts.era is Era.MODERN


async def test_a_slow_modern_server_that_refuses_the_handshake_is_waited_for():
    server = modern_server()
    discovered = server.answers["server/discover"]({})
    server.answers["server/discover"] = SILENCE
    starts = Starts(server)
    opening = asyncio.ensure_future(starts.open(probe_seconds=0.01))
    await eventually(lambda: "initialize" in server.methods)
    await ticks()

    starts.transports[0].deliver(jsonrpc.result_response(b"1", jsonrpc.encode(discovered)))

    assert (await opening).facts.era is Era.MODERN


async def test_a_server_that_answers_nothing_is_given_up():
    server = TableServer({"server/discover": SILENCE, "initialize": SILENCE})

    with pytest.raises(UpstreamError) as caught:
        await Starts(server).open(limit=0.02, probe_seconds=0.01)

    assert caught.value.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize("after_the_answer", [False, True])
async def test_a_server_that_dies_of_the_question_is_started_again_for_the_handshake(after_the_answer: bool):
    fragile, server = handshake_server(), handshake_server()
    starts = Starts(fragile, server)
    dying(fragile, starts, "server/discover", after_the_answer=after_the_answer)

    upstream = await starts.open()

    assert upstream.facts.era is Era.HANDSHAKE
    assert len(starts.transports) == 2
    assert server.methods == ["initialize", "notifications/initialized"]


async def test_a_server_that_dies_of_everything_is_started_twice_only():
    server = handshake_server()
    starts = Starts(server)
    dying(server, starts, "server/discover")
    dying(server, starts, "initialize")

    with pytest.raises(UpstreamError) as caught:
        await starts.open()

    assert caught.value.kind is FailureKind.DISCONNECTED
    assert len(starts.transports) == 2


class Unreachable(MemoryTransport):
    """Connects, like HTTP, and then every request finds nobody there."""

    async def connect(self) -> None:
        """Nothing is tried."""


async def test_a_server_that_cannot_be_reached_is_not_asked_the_old_way():
    server = handshake_server()
    starts = Starts(Unreachable(server))

    with pytest.raises(UpstreamError) as caught:
        await starts.open()

    assert caught.value.kind is FailureKind.UNAVAILABLE
    assert len(starts.transports) == 1


async def test_a_server_that_cannot_be_started_is_an_os_error():
    with pytest.raises(OSError, match="no such command"):
        await Starts(MemoryTransport(refuses="no such command")).open()


async def test_a_server_that_speaks_neither_era_is_refused_with_what_it_said_last():
    with pytest.raises(UpstreamError, match="not for you"):
        await Starts(TableServer({"initialize": refuse(-1, "not for you")})).open()


def refusing(second: Any) -> tuple[TableServer, Starts]:
    """A server that says nothing by itself to the modern question, and to the other one `second`."""
    server = modern_server()
    server.answers |= {"server/discover": SILENCE, "initialize": second}
    return server, Starts(server)


async def test_a_server_that_takes_no_token_of_ours_is_not_only_blamed_for_not_speaking_the_old_way():
    server, starts = refusing(refuse(jsonrpc.HEADER_MISMATCH, "no such thing"))
    opening = asyncio.ensure_future(starts.open())
    await eventually(lambda: "server/discover" in server.methods)

    starts.transports[0].fail(1, FailureKind.UNAUTHORIZED, "it refuses the token (403)")

    with pytest.raises(UpstreamError, match=r"it refuses the token \(403\).*no such thing"):
        await opening


async def test_what_a_server_says_to_both_questions_is_told_once():
    server, starts = refusing(SILENCE)
    opening = asyncio.ensure_future(starts.open())

    for request_id in (1, 2):
        await eventually(lambda asked=request_id: len(server.methods) == asked)
        starts.transports[0].fail(request_id, FailureKind.UNAUTHORIZED, "it refuses the token (401)")

    with pytest.raises(UpstreamError, match=r"^it refuses the token \(401\)$"):
        await opening


async def test_a_server_known_to_want_the_handshake_is_not_asked_the_modern_question():
    server = handshake_server()

    await Starts(server).open(known=Era.HANDSHAKE)

    assert server.methods == ["initialize", "notifications/initialized"]


@pytest.mark.parametrize("known", [None, Era.HANDSHAKE])
async def test_the_handshake_declares_what_it_is_told_to(known: Era | None):
    server = handshake_server()

    await Starts(server).open(known=known, capabilities=b'{"roots":{}}')

    assert server.params_of("initialize")[0]["capabilities"] == {"roots": {}}
