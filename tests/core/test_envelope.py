import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types.jsonrpc import JSONRPCNotification, JSONRPCRequest
from pydantic import TypeAdapter

from actors.core.envelope import BATCH_LIMIT, ID_LIMIT, Envelope, Malformed, Response, read_batch, read_message

TEXT = st.text(max_size=8)
SCALAR = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | SCALAR,
        "id": SCALAR | OBJECTS | st.lists(SCALAR, max_size=1),
        "method": TEXT | SCALAR,
        "params": OBJECTS | JSON,
        "result": OBJECTS,
        "error": OBJECTS,
        "other": JSON,
    },
)
NESTED = b'{"jsonrpc":"2.0","id":1,"method":"a","params":%b}'
official = TypeAdapter(JSONRPCRequest | JSONRPCNotification)


def body_of(**members: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call"} | members).encode()


@given(body=st.binary(max_size=60) | st.text('{}[]":,0123truefalsn\\u "jsonrpc2.', max_size=40).map(str.encode))
def test_whatever_arrives_is_a_message_or_gets_an_answer(body):
    batch = read_batch(body)

    for read in [read_message(body), *(batch if isinstance(batch, list) else [batch or Envelope("", None, {}, {})])]:
        if isinstance(read, Malformed):
            answer = json.loads(read.response)
            assert answer["id"] is None
            assert answer["error"]["code"] in (-32700, -32600)


@given(body=st.binary(max_size=30))
def test_what_the_json_module_cannot_read_is_a_parse_error_or_no_message(body):
    try:
        json.loads(body.decode())
    except ValueError:
        assert read_message(body) == Malformed(-32700, "the body is not JSON")


@given(message=MESSAGES)
def test_whatever_is_read_is_a_message_to_the_official_sdk(message):
    read = read_message(json.dumps(message).encode())

    if isinstance(read, Envelope):
        known = official.validate_python(message, strict=True)
        assert read.method == known.method
        assert json.loads(read.id or b"null") == getattr(known, "id", None)


@given(
    request_id=st.integers() | TEXT,
    method=TEXT,
    params=st.dictionaries(TEXT.filter("_meta".__ne__), JSON, max_size=3),
    meta=OBJECTS,
)
def test_every_member_of_a_request_is_read_as_it_was_sent(request_id, method, params, meta):
    read = read_message(body_of(id=request_id, method=method, params={**params, "_meta": meta}))

    assert isinstance(read, Envelope)
    assert (json.loads(read.id), read.method) == (request_id, method)
    assert {key: json.loads(bytes(value)) for key, value in read.params.items()} == params
    assert {key: json.loads(bytes(value)) for key, value in read.meta.items()} == meta


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"jsonrpc":"2.0","id":1,"method":"a"} {}',
        b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"a":01}}',
        b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"a":NaN}}',
        b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"a":"\xff"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"a","\xff":1}',
        b'["\xff"]',
        b'{"jsonrpc":2,"id":1',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"a"}',
        pytest.param(b"[" * 100_000, id="opened without end"),
        pytest.param(NESTED % (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), id="arrays without end"),
        pytest.param(NESTED % (b'{"a":' * 100_000 + b"1" + b"}" * 100_000), id="objects without end"),
    ],
)
def test_what_is_not_json_is_a_parse_error(body):
    assert read_message(body) == Malformed(-32700, "the body is not JSON")


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"1",
        b'"text"',
        b"[]",
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
        b"{}",
        b'{"id":1,"method":"ping"}',
        b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"method":7}',
        b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}',
        b'{"jsonrpc":"2.0","id":1,"result":null}',
        b'{"jsonrpc":"2.0","id":1,"result":[]}',
        b'{"jsonrpc":"2.0","id":1,"error":"m"}',
        b'{"jsonrpc":"2.0","result":{}}',
        b'{"jsonrpc":"2.0","id":null,"result":{}}',
        b'{"jsonrpc":"2.0","id":1.5,"result":{}}',
        body_of(id=None),
        body_of(id=1.5),
        body_of(id=1e3),
        body_of(id=True),
        body_of(id=[1]),
        body_of(id={}),
        pytest.param(body_of(id="x" * ID_LIMIT), id="long id"),
        body_of(params=[1]),
        body_of(params="x"),
        body_of(params={"_meta": []}),
        body_of(params={"_meta": 1}),
    ],
)
def test_what_is_json_but_no_request_or_notification_is_an_invalid_request(body):
    read = read_message(body)

    assert isinstance(read, Malformed)
    assert read.code == -32600


def test_a_message_without_an_id_is_a_notification():
    read = read_message(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')

    assert read == Envelope("notifications/initialized", None, {}, {})


@pytest.mark.parametrize("params", [{}, {"params": None}, {"params": {}}, {"params": {"_meta": None}}])
def test_parameters_that_are_nothing_are_none(params):
    assert read_message(body_of(**params)) == Envelope("tools/call", b"1", {}, {})


def test_of_a_member_given_twice_the_last_counts_everywhere():
    read = read_message(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"a","method":"b","params":{"n":1,"n":2}}')

    assert isinstance(read, Envelope)
    assert (read.method, read.id) == ("b", b"2")
    assert bytes(read.params["n"]) == b"2"


@pytest.mark.parametrize(
    "request_id", [b"0", b"-7", pytest.param(b"9" * ID_LIMIT, id="long"), b'"a"', b'"\\u0061"', '"é"'.encode()]
)
def test_an_id_is_kept_as_it_was_written(request_id):
    read = read_message(b'{"jsonrpc":"2.0","id": ' + request_id + b' ,"method":"ping"}')

    assert isinstance(read, Envelope)
    assert read.id == request_id


@given(request_id=st.integers() | TEXT, result=OBJECTS, layout=st.sampled_from([{}, {"indent": 1}]))
def test_a_result_is_the_answer_to_a_request_of_ours(request_id, result, layout):
    body = json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result}, **layout).encode()

    read = read_message(body)

    assert isinstance(read, Response)
    assert json.loads(read.id) == request_id
    assert json.loads(read.answer) == {"result": result}


@given(error=OBJECTS)
def test_an_error_is_an_answer_too(error):
    read = read_message(json.dumps({"jsonrpc": "2.0", "id": "q", "error": error}).encode())

    assert isinstance(read, Response)
    assert json.loads(read.answer) == {"error": error}


@given(messages=st.lists(MESSAGES | JSON, min_size=1, max_size=4))
def test_the_messages_of_a_batch_are_read_as_if_each_came_alone(messages):
    batch = read_batch(b" \n" + json.dumps(messages).encode())

    assert batch == [read_message(json.dumps(message).encode()) for message in messages]


@given(body=st.binary(max_size=40))
def test_what_begins_an_array_is_a_batch_or_refused(body):
    read = read_batch(b"[" + body)

    assert isinstance(read, list | Malformed)


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"a":[]}', b'"[]"'])
def test_what_is_no_array_is_no_batch(body):
    assert read_batch(body) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", -32600),
        (b"[", -32700),
        (b"[1,]", -32700),
        (b"[1] 2", -32700),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, -32700, id="nested without end"),
        pytest.param(b"[" + b"1," * BATCH_LIMIT + b"1]", -32600, id="one too many"),
    ],
)
def test_a_batch_that_is_empty_too_long_or_broken_is_refused_whole(body, code):
    read = read_batch(body)

    assert isinstance(read, Malformed)
    assert read.code == code


def test_a_batch_may_be_as_long_as_its_limit():
    batch = read_batch(b"[" + b",".join([body_of()] * BATCH_LIMIT) + b"]")

    assert batch == [Envelope("tools/call", b"1", {}, {})] * BATCH_LIMIT


def test_a_batch_within_a_batch_is_no_message():
    batch = read_batch(b"[[" + body_of() + b"]," + body_of() + b"]")

    assert isinstance(batch, list)
    assert [type(each) for each in batch] == [Malformed, Envelope]
