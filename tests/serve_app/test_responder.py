"""One response: JSON while nothing else has been said, from then on a stream."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from serve_app.downstream.responder import HttpResponder, accepts_streams


class Wire:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[MutableMapping[str, Any]] = []

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        (b"application/json, text/event-stream", True),
        (b"Text/Event-Stream;q=0.5", True),
        (b"*/*", True),
        (b"text/*", True),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_a_stream_is_for_clients_that_accept_one(accept: bytes, streams: bool) -> None:
    assert accepts_streams(accept) is streams


async def test_a_last_message_that_is_the_first_is_json_with_its_status_and_headers() -> None:
    wire = Wire()

    await HttpResponder(wire, streams=True).finish(404, b'{"a":1}', [(b"x-more", b"1")])

    start, body = wire.sent
    assert start["status"] == 404
    assert dict(start["headers"]) == {b"content-type": b"application/json", b"content-length": b"7", b"x-more": b"1"}
    assert (body["body"], body.get("more_body", False)) == (b'{"a":1}', False)


async def test_a_message_before_the_last_makes_a_stream_that_ends_with_the_last() -> None:
    wire = Wire()
    responder = HttpResponder(wire, streams=True)

    await responder.event(b'{"a":1}')
    await responder.keep_alive()
    await responder.finish(400, b'{"b":2}')

    assert wire.sent[0]["status"] == 200
    assert dict(wire.sent[0]["headers"])[b"content-type"] == b"text/event-stream"
    assert wire.body == b'event: message\ndata: {"a":1}\n\n:\n\nevent: message\ndata: {"b":2}\n\n'
    assert [message.get("more_body", False) for message in wire.sent[1:]] == [True, True, False]


async def test_a_client_that_takes_no_stream_gets_the_last_message_only() -> None:
    wire = Wire()
    responder = HttpResponder(wire, streams=False)

    await responder.event(b'{"a":1}')
    await responder.keep_alive()
    assert wire.sent == []
    await responder.finish(400, b'{"b":2}')

    assert wire.sent[0]["status"] == 400
    assert wire.body == b'{"b":2}'


async def test_a_message_without_an_answer_is_accepted() -> None:
    wire = Wire()

    await HttpResponder(wire, streams=True).accept()

    assert (wire.sent[0]["status"], wire.body) == (202, b"")
