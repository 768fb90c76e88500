"""What clients post, taken apart; compared with what the standard library makes of it."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from actors.core import jsonrpc
from actors.core.envelope import Envelope, Incoming, Malformed, Response, read_batch, read_message
from tests.fuzz.fuzzing import Found
from tests.fuzz.mutations import Mutator
from tests.fuzz.seeds import LEGACY_MESSAGES, META, MODERN_MESSAGES, NOTIFICATIONS, REQUESTS, as_json

MESSAGES: Final = [
    *REQUESTS,
    *LEGACY_MESSAGES,
    *MODERN_MESSAGES,
    *NOTIFICATIONS,
    *({**message, "params": {**message.get("params", {}), "_meta": META}} for message in REQUESTS),
]
BODIES: Final = [
    *(as_json(message) for message in MESSAGES),
    *(json.dumps(message, indent=1).encode() for message in MESSAGES[:6]),
    as_json(MESSAGES[:4]),
    b" [ " + as_json(MESSAGES[9]) + b" , 7, [] , " + as_json(MESSAGES[10]) + b"]",
]


class Envelopes:
    """Each body is read as a batch or a message."""

    def __init__(self) -> None:
        self.last = b""

    async def feed(self, mutator: Mutator) -> bool:
        """See `Target.feed`."""
        if mutator.chance(0.3):
            self.last = mutator.json_of(mutator.dice.choice(MESSAGES))
        else:
            self.last = mutator.bytes_of(BODIES)
        return self._check(self.last)

    async def canary(self) -> None:
        """See `Target.canary`."""
        message = read_message(BODIES[0])
        if not isinstance(message, Envelope) or json.loads(bytes(message.params["name"])) != "git__echo":
            raise Found(f"a good message was read as {message}")

    def _check(self, body: bytes) -> bool:
        batch = read_batch(body)
        if isinstance(batch, Malformed):
            _check_refusal(batch)
            return False
        for message, told in _pairs(body, batch):
            _check(message, told)
        return any(isinstance(message, Envelope) for message in batch or [read_message(body)])


def _pairs(body: bytes, batch: list[Incoming] | None) -> Iterator[tuple[Incoming, Any]]:
    """Each message, and the same as the standard library reads it; nothing where that is at its own limits."""
    try:
        told = json.loads(body.decode(errors="replace"))  # of a batch only the messages with bad bytes are refused
    except (ValueError, RecursionError) as error:
        told = error
    if batch is None:
        yield read_message(body), told
        return
    if not isinstance(told, list):
        told = [told] * len(batch)
    yield from zip(batch, told, strict=True)


def _check(message: Incoming, told: Any) -> None:
    """Nothing is read that is not there."""
    beyond = isinstance(told, RecursionError) or (isinstance(told, ValueError) and "digits" in str(told))
    if isinstance(told, Exception) and not beyond and not isinstance(message, Malformed):
        raise Found(f"read as {message}, and is no JSON: {told}")
    match message:
        case Malformed():
            _check_refusal(message)
        case _ if beyond:
            pass
        case Envelope(method, request_id, params, meta):
            echoed = json.loads(jsonrpc.result_response(request_id or b"null", jsonrpc.encode(params)))
            parts = (method, echoed["id"], echoed["result"], json.loads(jsonrpc.encode(meta)))
            there = told.get("params") or {}
            own = {key: value for key, value in there.items() if key != "_meta"}
            if not _same(parts, (told["method"], told.get("id"), own, there.get("_meta") or {})):
                raise Found(f"read as {parts}, and is {told}")
        case Response(request_id, answer):
            member = "result" if "result" in json.loads(answer) else "error"
            if not _same([json.loads(request_id), json.loads(answer)[member]], [told["id"], told[member]]):
                raise Found(f"read as {message}, and is {told}")


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _check_refusal(refusal: Malformed) -> None:
    told = json.loads(refusal.response)
    if told["id"] is not None or told["error"]["code"] not in (jsonrpc.PARSE_ERROR, jsonrpc.INVALID_REQUEST):
        raise Found(f"refused with {told}")


@asynccontextmanager
async def envelopes() -> AsyncIterator[Envelopes]:
    """The target."""
    yield Envelopes()
