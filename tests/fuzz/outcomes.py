"""What servers make of calls, through an ingress to clients of both eras: spoilt results, errors, events, questions.

A client gets an answer to its own request, in the form of JSON-RPC, whatever the server said.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core import ask, jsonrpc
from actors.core.jsonrpc import decode_message
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import HANDSHAKE_REVISIONS, Era
from tests.fuzz.fuzzing import Found, turning
from tests.fuzz.mutations import Mutator
from tests.fuzz.seeds import ERRORS, FORM, META, NOTIFICATIONS, RESULTS, SAMPLE
from tests.support.asgi import Conversation
from tests.support.house import Doorway, House, Replica, echo, house
from tests.support.posts import LegacyClient, ModernClient

REQUESTS: Final = (
    ("tools/call", {"name": "git__echo", "arguments": {"a": 1}}),
    ("tools/call", {"name": "git__echo", "arguments": {"a": 1}}),
    ("prompts/get", {"name": "git__greet"}),
    ("resources/read", {"uri": "file:///a"}),
    (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "git__greet"}, "argument": {"name": "a", "value": ""}},
    ),
)
QUESTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("elicitation/create", FORM),
    ("sampling/createMessage", SAMPLE),
    ("roots/list", {}),
)
CAPABILITIES: Final = META["io.modelcontextprotocol/clientCapabilities"]


class Outcomes:
    """A replica that does what the dice say, and clients who want to know."""

    def __init__(self, built: House, replica: Replica, doorway: Doorway) -> None:
        self.last = b""
        self._house = built
        self._replica = replica
        self._doorway = doorway
        self._modern = ModernClient(doorway)
        self._legacy = [LegacyClient(doorway, revision=revision) for revision in HANDSHAKE_REVISIONS]
        self._number = 0
        self._mutator: Mutator

    async def begin(self) -> None:
        """Open a session of each revision."""
        for client in self._legacy:
            await client.initialize(capabilities=CAPABILITIES)

    async def feed(self, mutator: Mutator) -> bool:
        """See `Target.feed`."""
        self._number += 1
        self._mutator = mutator
        self._replica._on_open = self._behave
        answered = await self._ended(self._started(mutator))
        return "result" in _last_message(answered, self._number)

    async def canary(self) -> None:
        """See `Target.canary`."""
        self._replica._on_open = echo
        told = {"canary": self._number}
        for client in (self._modern, self._legacy[self._number % len(self._legacy)]):
            answer = (await client.call("git__echo", told)).json
            if answer["result"]["got"] != told:
                raise Found(f"the canary {told} got {answer}")
        self._replica.exchanges.clear()
        self._replica.answers.clear()
        self._replica.cancellations.clear()
        await self._doorway.tallying.send()
        self._house.metrics.reports.clear()

    def _started(self, mutator: Mutator) -> Conversation:
        method, params = mutator.dice.choice(REQUESTS)
        if mutator.chance(0.5):
            return self._modern.start(method, params, request_id=self._number, meta=META)
        meta = {"progressToken": "t"} if mutator.chance(0.5) else {}
        client = mutator.dice.choice(self._legacy)
        headers = {"accept": "application/json"} if mutator.chance(0.2) else None
        return client.start(method, {**params, "_meta": meta}, request_id=self._number, headers=headers)

    def _behave(self, exchange: Exchange) -> None:
        """Say a few things, and how it ended: all of it JSON, as the adapters of the eras see to."""
        mutator = self._mutator
        said = []
        for _ in range(mutator.dice.choice((0, 0, 1, 3))):
            kind, data = _event(mutator)
            said.append(data)
            exchange.emit(kind, data)
        outcome = _outcome(mutator)
        self.last = b"\n".join([*said, repr(outcome).encode()])
        asyncio.get_running_loop().call_soon(exchange.finish, outcome)

    async def _ended(self, conversation: Conversation) -> Conversation:
        await turning(lambda: conversation.done)
        return await conversation.answered()


def _spoilt(mutator: Mutator, value: Any) -> bytes:
    """A spoilt object such as the transports let through."""
    spoilt = _nested(mutator, mutator.json_of(value))
    try:
        decode_message(jsonrpc.result_response(b"1", spoilt))
    except msgspec.DecodeError:
        return b'{"not":"json"}'
    return spoilt


def _event(mutator: Mutator) -> tuple[EventKind, bytes]:
    match mutator.dice.randrange(3):
        case 0:
            return EventKind.PROGRESS, _spoilt(mutator, NOTIFICATIONS[0]["params"])
        case 1:
            return EventKind.LOG, _spoilt(mutator, NOTIFICATIONS[1]["params"])
        case _:
            method, params = mutator.dice.choice(QUESTIONS)
            spoilt = _spoilt(mutator, params)
            return EventKind.ASK, ask.ask(method, spoilt if spoilt.startswith(b"{") else b"{}")


def _outcome(mutator: Mutator) -> Reply | Failure:
    era = mutator.dice.choice(list(Era))
    match mutator.dice.randrange(8):
        case 0:
            kind = mutator.dice.choice([each for each in FailureKind if each is not FailureKind.SUPERSEDED])
            return Failure(kind, "git", str(mutator.value_of("why"))[:99].encode(errors="replace").decode(), 1.0)
        case 1 | 2:
            return Reply(_spoilt(mutator, mutator.dice.choice(ERRORS)), era, is_error=True)
        case _:
            return Reply(_spoilt(mutator, mutator.dice.choice(RESULTS)), era)


def _nested(mutator: Mutator, body: bytes) -> bytes:
    """The same, with something deep in it now and then: as deep as an envelope may be that is read."""
    if mutator.chance(0.9) or not body.startswith(b'{"'):
        return body
    depth = mutator.dice.randint(1, 940)
    return b'{"deep":%b%b,%b' % (b"[" * depth, b"]" * depth, body[1:])


def _last_message(answered: Conversation, number: int) -> dict[str, Any]:
    """The answer: one, and to this request."""
    if answered.status not in (200, 400, 404):
        raise Found(f"the status {answered.status}: {answered.body!r}")
    messages = answered.events if answered.streams else [answered.json]
    answers = [message for message in messages if "method" not in message]
    if len(answers) != 1 or answers[0] is not messages[-1]:
        raise Found(f"{len(answers)} answers: {messages}")
    (answer,) = answers
    if answer["id"] != number or ("result" in answer) is ("error" in answer):
        raise Found(f"request {number} was answered with {answer}")
    if "error" in answer and not isinstance(answer["error"].get("code"), int):
        raise Found(f"request {number} was answered with {answer}")
    if "result" in answer and not isinstance(answer["result"], dict):
        raise Found(f"request {number} was answered with {json.dumps(answer)}")
    return dict(answer)


@asynccontextmanager
async def outcomes() -> AsyncIterator[Outcomes]:
    """The target."""
    replica = Replica()
    async with house(replica) as built:
        doorway = built.doorway()
        await doorway.linked()
        target = Outcomes(built, replica, doorway)
        await target.begin()
        yield target
