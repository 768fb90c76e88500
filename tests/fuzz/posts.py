"""Requests of clients at a whole ingress: spoilt bodies, headers and paths, and good clients of both eras beside them.

A spoilt request gets an answer in time, never the status 500, and of the echo of its own arguments only.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core import ask
from actors.core.headers import NAME_KEYS, encode_value
from tests.fuzz.fuzzing import Found, turning
from tests.fuzz.mutations import Mutator
from tests.fuzz.seeds import FORM, LEGACY_MESSAGES, META, MODERN, MODERN_MESSAGES, REQUESTS, as_json
from tests.support.asgi import Conversation, start
from tests.support.house import Doorway, House, Replica, arguments_of, echo, house
from tests.support.posts import BOTH, LegacyClient, ModernClient

STATUSES: Final = frozenset({200, 202, 204, 400, 403, 404, 405, 406, 408, 413, 503})
PATHS: Final = (
    "/mcp",
    "/servers/git/mcp",
    "/mcp/",
    "/servers/none/mcp",
    "/servers/%67it/mcp",
    "/messages",
    "/sse",
    "/x",
)
ENDPOINTS: Final = ("/mcp", "/servers/")
METHODS: Final = ("GET", "DELETE", "PUT", "HEAD", "POST")

Json = dict[str, Any]


@dataclass(frozen=True)
class Post:
    """One request, as it will be sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def answer_with_echo(exchange: Exchange) -> None:
    """Ask first, where the arguments say so; a subscription goes on."""
    arguments = arguments_of(exchange)
    if exchange.call.method == "subscriptions/listen":
        return
    if isinstance(arguments, dict) and arguments.get("ask") is True:
        exchange.on_answer = lambda _ask, _value: echo(exchange)
        exchange.emit(EventKind.ASK, ask.ask("elicitation/create", json.dumps(FORM).encode()))
        return
    echo(exchange)


class Posts:
    """One ingress, a session to spoil requests of, and two clients who do nothing wrong."""

    def __init__(self, built: House, replica: Replica, doorway: Doorway) -> None:
        self.last = b""
        self._house = built
        self._replica = replica
        self._doorway = doorway
        self._victim = LegacyClient(doorway)
        self._modern = ModernClient(doorway)
        self._legacy = LegacyClient(doorway)
        self._state: Json = {}
        self._canaries = 0
        self._number = 0

    async def begin(self) -> None:
        """Open the sessions, and park a call whose state can be spoilt."""
        await self._legacy.initialize()
        await self._renew()

    async def feed(self, mutator: Mutator) -> bool:
        """See `Target.feed`."""
        self._number += 1
        post = self._post(mutator)
        self.last = b"%b %b %b\n%b" % (*_bytes_of(post.method, post.path, repr(post.headers)), post.body)
        answered = await self._sent(post, mutator.pieces(post.body))
        _check(answered, post)
        if answered.status == 200 and self._is_foreign(post):
            raise Found(f"a session or a state that was never given out was taken: {answered.body!r}")
        return answered.status in (200, 202)

    async def canary(self) -> None:
        """See `Target.canary`: good clients beside a bad one, all at once."""
        self._canaries += 1
        told = {"canary": self._canaries}
        modern = self._modern.start("tools/call", {"name": "git__echo", "arguments": told}, request_id="modern")
        legacy = self._legacy.start("tools/call", {"name": "git__echo", "arguments": told}, request_id="legacy")
        bad = Mutator(Random(self._canaries))
        await self._sent(Post("POST", "/mcp", {"accept": BOTH}, bad.bytes_of(BODIES)), [b"", b"{"])
        for era, conversation in (("modern", modern), ("legacy", legacy)):
            answer = (await conversation.answered()).json
            if answer["id"] != era or answer["result"]["got"] != told:
                raise Found(f"the {era} canary {told} got {answer}")
        await self._tidy()

    async def _tidy(self) -> None:
        """What the doubles remember for tests is let go of, and what a spoilt request ended begins again."""
        self._replica.exchanges = self._replica.running[-20:]
        self._replica.origins.clear()
        self._replica.cancellations.clear()
        self._replica.answers.clear()
        await self._doorway.tallying.send()
        self._house.metrics.reports.clear()
        if (await self._victim.ask("ping")).status != 200:
            await self._renew()

    async def _renew(self) -> None:
        await self._victim.initialize(capabilities={"elicitation": {}})
        meta = META | {"progressToken": None}
        parked = await self._modern.call("git__echo", {"ask": True}, meta=meta)
        if parked.json["result"]["resultType"] != "input_required":
            raise Found(f"a question was answered with {parked.json}")
        self._state = parked.json["result"]

    def _post(self, mutator: Mutator) -> Post:
        modern = mutator.chance(0.5)
        message = self._message(mutator, modern=modern)
        headers = self._headers(message, modern=modern)
        body = as_json(message)
        if mutator.chance(0.25):
            headers = _spoilt_headers(mutator, headers)
        elif mutator.chance(0.5):
            body = mutator.json_of(message)
        else:
            body = mutator.bytes_of([body, *BODIES])
        method, path = "POST", "/mcp"
        if mutator.chance(0.1):
            path = mutator.dice.choice(PATHS)
        if mutator.chance(0.05):
            method = mutator.dice.choice(METHODS)
        return Post(method, path, headers, body)

    def _message(self, mutator: Mutator, *, modern: bool) -> Json:
        message = mutator.dice.choice(REQUESTS + (MODERN_MESSAGES if modern else LEGACY_MESSAGES))
        if modern and mutator.chance(0.1):
            (name,) = self._state["inputRequests"]
            params: Json = {"name": "git__echo", "arguments": {"ask": True}, "inputResponses": {name: {"action": "x"}}}
            params["requestState"] = _spoilt_text(mutator, self._state["requestState"])
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        if "params" in message and message.get("method") == "tools/call":
            arguments = {"number": self._number} | message["params"].get("arguments", {})
            message = {**message, "params": {**message["params"], "arguments": arguments}}
        if modern:
            message = {**message, "params": {**message.get("params", {}), "_meta": META}}
        return message

    def _headers(self, message: Json, *, modern: bool) -> dict[str, str]:
        headers = {"accept": BOTH, "content-type": "application/json"}
        if not modern:
            return headers | {"mcp-protocol-version": "2025-11-25", "mcp-session-id": self._victim.session or ""}
        method = message["method"]
        headers |= {"mcp-protocol-version": MODERN, "mcp-method": method}
        name = message["params"].get(NAME_KEYS.get(method, ""))
        return headers | ({"mcp-name": encode_value(name)} if isinstance(name, str) else {})

    async def _sent(self, post: Post, parts: list[bytes]) -> Conversation:
        """Send a request and wait until it is answered, or streams; a stream is left then."""
        conversation = start(self._doorway, post.method, post.path, post.headers.items(), parts)
        try:
            await turning(lambda: conversation.done or bool(conversation.streams and conversation.body))
        except TimeoutError:
            raise Found(f"no answer to {post}") from None
        if conversation.done:
            return await conversation.answered()
        await conversation.leave()
        return conversation

    def _is_foreign(self, post: Post) -> bool:
        """Whether it can only be taken by mistake: with a session or a state that is not exactly one of ours."""
        if post.method != "POST" or not post.path.startswith(ENDPOINTS):
            return False
        session = post.headers.get("mcp-session-id", self._victim.session)
        try:
            message = json.loads(post.body)
            state = message["params"].get("requestState", self._state["requestState"])
            method = message["method"]
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return False
        continued = method in ("tools/call", "prompts/get", "resources/read") and isinstance(state, str)
        modern = post.headers.get("mcp-protocol-version") == MODERN
        if modern:
            return continued and state != self._state["requestState"]
        return session != self._victim.session and method != "initialize"


BODIES: Final = [as_json(message) for message in (*REQUESTS, *LEGACY_MESSAGES, *MODERN_MESSAGES)]


def _bytes_of(*texts: str) -> list[bytes]:
    return [text.encode(errors="replace") for text in texts]


def _spoilt_text(mutator: Mutator, text: str) -> str:
    return mutator.bytes_of([text.encode()]).decode("latin-1")


def _spoilt_headers(mutator: Mutator, headers: dict[str, str]) -> dict[str, str]:
    name = mutator.dice.choice([*headers, "host", "origin", "last-event-id", "content-length", "authorization"])
    value = _spoilt_text(mutator, headers.get(name, mutator.dice.choice(["127.0.0.1", "lists-a-b-c", "7", "Bearer x"])))
    # a server in front of the application never lets these through
    clean = value.replace("\r", "").replace("\n", "").replace("\0", "")
    return {**headers, name: clean}


def _check(answered: Conversation, post: Post) -> None:
    if answered.status not in STATUSES:
        raise Found(f"the status {answered.status}: {answered.body!r}")
    if answered.streams or not answered.body:
        return
    answer = answered.json
    if post.path.startswith(ENDPOINTS):
        _check_answer(answer, post)


def _check_answer(answer: Any, post: Post) -> None:
    """It answers what was asked: the same id, and the same arguments."""
    try:
        asked = json.loads(post.body)
    except (ValueError, RecursionError):
        return
    if isinstance(answer, list):
        return
    if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0" or ("result" in answer) is ("error" in answer):
        raise Found(f"the answer {answer} is no JSON-RPC")
    if "result" not in answer:
        return
    if answer["id"] != asked["id"]:
        raise Found(f"{asked['id']!r} was answered as {answer['id']!r}")
    got = answer["result"].get("got") if asked["method"] == "tools/call" else None
    if got is not None and got != asked["params"].get("arguments"):
        raise Found(f"{asked['params'].get('arguments')} was answered with {got}")


@asynccontextmanager
async def posts() -> AsyncIterator[Posts]:
    """The target."""
    replica = Replica(behave=answer_with_echo)
    async with house(replica) as built:
        doorway = built.doorway()
        await doorway.linked()
        target = Posts(built, replica, doorway)
        await target.begin()
        yield target
