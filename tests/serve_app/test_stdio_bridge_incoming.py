"""What a line of the client is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.lines import LineSplitter, Overlong
from serve_app.stdio.incoming import Answered, Asked, Batch, Refused, Told, id_key, read, read_overlong

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
IDS = st.integers(-(2**53), 2**53) | st.text(max_size=40)


def refused(line: bytes) -> tuple[Any, int]:
    incoming = read(line)
    assert isinstance(incoming, Refused), incoming
    response = json.loads(incoming.response)
    return response["id"], response["error"]["code"]


@given(request_id=IDS, method=st.text(), params=st.dictionaries(st.text(), JSON, max_size=3), ascii_only=st.booleans())
def test_a_request_keeps_its_id_byte_by_byte(request_id: Any, method: str, params: Any, ascii_only: bool) -> None:
    params.pop("_meta", None)
    message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    line = json.dumps(message, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    asked = read(line)

    assert isinstance(asked, Asked)
    assert asked.id == json.dumps(request_id, ensure_ascii=ascii_only).encode()
    assert asked.key == request_id
    assert asked.body == line


@given(line=st.binary() | JSON.map(lambda tree: json.dumps(tree).encode()))
def test_whatever_a_line_holds_it_is_read_or_refused(line: bytes) -> None:
    assert isinstance(read(line), Asked | Told | Answered | Refused | Batch)


@pytest.mark.parametrize(
    ("line", "request_id", "code"),
    [
        (b"hello", None, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"x"', None, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', None, -32700),
        (b"[" * 2000, None, -32700),
        (b"7", None, -32600),
        (b"[]", None, -32600),
        (b'{"id":1,"method":"x"}', 1, -32600),
        (b'{"jsonrpc":"2.0","id":1}', 1, -32600),
        (b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', 1, -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"x"}', None, -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"x"}', None, -32600),
        (b'{"jsonrpc":"2.0","id":"a","method":"x","params":[]}', "a", -32600),
        (b'{"jsonrpc":"2.0","id":"a","method":"x","params":{"_meta":7}}', "a", -32600),
    ],
)
def test_what_is_no_message_is_refused_with_its_id_where_it_has_one(line: bytes, request_id: Any, code: int) -> None:
    assert refused(line) == (request_id, code)


def test_a_notification_and_an_answer_are_told_apart() -> None:
    told = read(b'{"jsonrpc":"2.0","method":"x","params":{"a":1,"_meta":{"b":2}}}')
    answered = read(b'{"jsonrpc":"2.0","id":"q","result":{}}')

    assert isinstance(told, Told)
    assert (list(told.params), list(told.meta)) == (["a"], ["b"])
    assert isinstance(answered, Answered)
    assert answered.id == b'"q"'


def test_a_batch_holds_messages_and_no_batch() -> None:
    batch = read(b'[{"jsonrpc":"2.0","id":1,"method":"x"},{"jsonrpc":"2.0","method":"y"},[],3]')

    assert isinstance(batch, Batch)
    assert [type(one) for one in batch.messages] == [Asked, Told, Refused, Refused]


def test_ids_that_look_alike_are_different_requests() -> None:
    assert id_key(b"1") != id_key(b'"1"')
    assert id_key(b'"\\u00e9"') == id_key('"é"'.encode())
    assert id_key(b"true") is None


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (b'{"jsonrpc":"2.0","id":12,"method":"x","params":{"t":"%b"}}', 12),
        (b'{"id": "ab", "method":"x","params":{"t":"%b"}}', "ab"),
        (b'{"method":"x","params":{"t":"%b"},"jsonrpc":"2.0","id":3}', 3),
        (b'{"jsonrpc":"2.0","method":"x","params":{"t":"%b"},"id":"z"}', "z"),
        (b'{"jsonrpc":"2.0","method":"x","params":{"t":"%b","in":{"id":4}}}', None),
        (b'{"params":{"t":"%b"},"method":"x","id":5}', None),
    ],
)
def test_a_request_over_the_limit_is_refused_by_its_id_where_that_is_certain(line: bytes, request_id: Any) -> None:
    (overlong,) = LineSplitter(4096).feed(line % (b"x" * 5000) + b"\n")

    assert isinstance(overlong, Overlong)
    response = read_overlong(overlong, 4096)

    assert response is not None
    assert json.loads(response.response)["id"] == request_id
    assert "over 4096 bytes" in json.loads(response.response)["error"]["message"]


def test_an_answer_over_the_limit_gets_no_response() -> None:
    (overlong,) = LineSplitter(4096).feed(b'{"jsonrpc":"2.0","id":1,"result":{"t":"' + b"x" * 5000 + b'"}}\n')

    assert isinstance(overlong, Overlong)
    assert read_overlong(overlong, 4096) is None
