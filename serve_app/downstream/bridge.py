"""Turns questions into `input_required` and retries into answers: the bridge between the two eras, seen by clients.

Source: 2026-07-28, basic/patterns/mrtr. Nothing is remembered here: all that a retry needs is sealed into the
`requestState` which the client carries.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from actors.core import ask, continuation, jsonrpc
from actors.core.ask import Ask
from actors.core.continuation import Continuation, Way, digest_of
from actors.core.identity import GATEWAY_INFO
from actors.core.jsonrpc import Object
from actors.core.request import Request
from actors.core.routing import Rejection
from actors.core.seal import NONCE_BYTES, Seal
from actors.core.where import Where

INPUT_REQUIRED: Final = b'"input_required"'
CONTINUED: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The methods whose requests can be continued (2026-07-28, basic/patterns/mrtr, Supported Requests)."""

STATE_SECONDS: Final = 3600.0
"""How long a state is good of which the gateway keeps nothing; a Backend remembers as long that it was used."""

FOREIGN: Final = Rejection(
    jsonrpc.INVALID_PARAMS,
    "this requestState was not given to you by this gateway for this endpoint, or was changed; call again without it",
    {"reason": "state_invalid"},
)
ANOTHER: Final = Rejection(
    jsonrpc.INVALID_PARAMS,
    "this requestState belongs to another request; repeat the method and the parameters it was given for",
    {"reason": "state_mismatch"},
)
EXPIRED: Final = Rejection(
    jsonrpc.INVALID_PARAMS, "this requestState has expired; call again without it", {"reason": "state_expired"}
)
NO_OBJECT: Final = Rejection(jsonrpc.INVALID_PARAMS, "inputResponses is not an object")

_SERVER_META: Final = jsonrpc.raw({jsonrpc.SERVER_INFO_KEY: GATEWAY_INFO})


class Bridge:
    """Seals and opens continuations."""

    def __init__(
        self,
        secret: bytes,
        wall_clock: Callable[[], float] = time.time,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._seal = Seal(secret, "request state")
        self._wall_clock = wall_clock
        self._token_bytes = token_bytes

    def read(self, request: Request) -> tuple[Continuation, bytes] | Rejection | None:
        """What a request continues, and the ticket of that; nothing if it begins. Rungs, in order:

        1. The state was sealed here, for this principal and endpoint.
        2. It belongs to this method and these parameters.
        3. Its time is not over.
        4. The answers are an object.
        """
        if request.method not in CONTINUED or jsonrpc.is_absent(request.params.get("requestState")):
            return None
        opened = self._seal.open(jsonrpc.text(request.params["requestState"]) or "", request.client.owner)
        if opened is None:
            return FOREIGN
        payload, ticket = opened
        continued = continuation.decode(payload)
        if continued.digest != digest_of(request.method, request.params):
            return ANOTHER
        if continued.expires < self._wall_clock():
            return EXPIRED
        if not jsonrpc.is_object(request.params.get("inputResponses", b"{}")):
            return NO_OBJECT
        return continued, ticket

    def parked(self, request: Request, where: Where, asks: Mapping[int, Ask], seconds: float) -> bytes:
        """The result that puts the questions of a waiting call, by their numbers, to the client."""
        requests = {f"ask-{number}": each for number, each in asks.items()}
        state = self._state(request, Way.PARKED, where, seconds)
        members = {"inputRequests": jsonrpc.raw(requests), "requestState": jsonrpc.raw(state)}
        return _required(members)

    def handed(self, request: Request, where: Where, members: Object) -> bytes:
        """A modern server's own `input_required` with its state sealed."""
        inner = members.get("requestState")
        state = self._state(request, Way.HANDED, where, STATE_SECONDS, None if inner is None else bytes(inner))
        return jsonrpc.encode({**members, "requestState": jsonrpc.raw(state)})

    def again(self, request: Request, where: Where, requests: Mapping[str, bytes]) -> bytes:
        """The result that asks for something first, and then for the same call from the beginning."""
        state = self._state(request, Way.AGAIN, where, STATE_SECONDS)
        raw = {key: jsonrpc.raw_bytes(body) for key, body in requests.items()}
        return _required({"inputRequests": jsonrpc.raw(raw), "requestState": jsonrpc.raw(state)})

    def first(self, requests: Mapping[str, bytes]) -> bytes:
        """The result that asks for something before a call has begun; whatever replica takes it then, it is begun."""
        raw = {key: jsonrpc.raw_bytes(body) for key, body in requests.items()}
        return _required({"inputRequests": jsonrpc.raw(raw)})

    def _state(self, request: Request, way: Way, where: Where, seconds: float, inner: bytes | None = None) -> str:
        expires = self._wall_clock() + seconds
        continued = Continuation(way, digest_of(request.method, request.params), where, expires, inner)
        return self._seal.close(continuation.encode(continued), request.client.owner, self._token_bytes(NONCE_BYTES))


def answers_of(params: Object) -> list[tuple[int, bytes]]:
    """The answers in a retry of a parked call: the number of each question, and the answer to it."""
    answers = []
    for key, value in jsonrpc.decode_object(params.get("inputResponses", b"{}")).items():
        number = key.removeprefix("ask-")
        if key.startswith("ask-") and number.isascii() and number.isdigit() and jsonrpc.is_object(value):
            answers.append((int(number[:9]), ask.result(bytes(value))))
    return answers


def without_answer(params: Object, key: str) -> Object:
    """The parameters without the answer to what the gateway itself asked under this key; all others are a server's."""
    given = _given(params)
    if given.pop(key, None) is None:
        return params
    others = {name: value for name, value in params.items() if name != "inputResponses"}
    return others | {"inputResponses": jsonrpc.raw(given)} if given else others


def is_declined(params: Object, key: str) -> bool:
    """Whether a retry says that the user does not want to do what the gateway asked under this key."""
    return _action(params, key) in ("decline", "cancel")


def is_accepted(params: Object, key: str) -> bool:
    """Whether a retry says that the user is about to do what the gateway asked under this key."""
    return _action(params, key) == "accept"


def _action(params: Object, key: str) -> str | None:
    try:
        answer = jsonrpc.decode_object(_given(params).get(key, b"{}"))
    except msgspec.DecodeError:
        return None
    return jsonrpc.text(answer.get("action"))


def _given(params: Object) -> Object:
    """The answers that a retry brings, by the key of each; none if they have not that form."""
    try:
        return jsonrpc.decode_object(params["inputResponses"]) if "inputResponses" in params else {}
    except msgspec.DecodeError:
        return {}


def continued_params(continued: Continuation, params: Object) -> Object:
    """The parameters of the call that a retry makes: with the server's own state, or as they were in the beginning."""
    own = {key: value for key, value in params.items() if key != "requestState"}
    if continued.way is Way.AGAIN:
        own.pop("inputResponses", None)
    elif continued.state is not None:
        own["requestState"] = jsonrpc.raw_bytes(continued.state)
    return own


def input_required(body: bytes) -> Object | None:
    """The members of a modern server's result, if it wants something of the client."""
    if b"input_required" not in body:
        return None
    try:
        members = jsonrpc.decode_object(body)
    except msgspec.DecodeError:
        return None
    return members if bytes(members.get("resultType", b"")) == INPUT_REQUIRED else None


def _required(members: Object) -> bytes:
    return jsonrpc.encode({"resultType": jsonrpc.raw_bytes(INPUT_REQUIRED), "_meta": _SERVER_META, **members})
