import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.ask import ASKABLE, Answer, ask, read_answer, read_ask, refusal, result

OBJECTS = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8) | st.none(), max_size=3)
DEEP = b"[" * 100_000 + b"]" * 100_000
BROKEN = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"method":7}',
    b'{"method":"\xff"}',
    b'{"params":{}}',
    pytest.param(b'{"method":"a","params":' + DEEP + b"}", id="nested without end"),
]


@given(method=st.sampled_from(sorted(ASKABLE)) | st.text(max_size=8), params=OBJECTS, layout=st.sampled_from([None, 1]))
def test_an_ask_is_read_as_it_was_written(method, params, layout):
    body = json.dumps(params, indent=layout).encode()

    asked = read_ask(ask(method, body))

    assert (asked.method, asked.body) == (method, body)


def test_an_ask_without_parameters_has_none():
    assert read_ask(b'{"method":"roots/list"}').body == b"{}"


@given(value=OBJECTS)
def test_an_answer_is_a_result_or_an_error_as_it_was_written(value):
    body = json.dumps(value).encode()
    told, refused = read_answer(result(body)), read_answer(refusal(body))

    assert (bytes(told.result), bytes(told.error)) == (body, b"")
    assert (bytes(refused.result), bytes(refused.error)) == (b"", body)


@pytest.mark.parametrize("data", BROKEN)
def test_what_is_no_ask_is_a_decode_error(data):
    with pytest.raises(msgspec.DecodeError):
        read_ask(data)


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b'"\xff', pytest.param(b'{"result":' + DEEP + b"}", id="deep")])
def test_what_is_no_answer_is_a_decode_error(data):
    with pytest.raises(msgspec.DecodeError):
        read_answer(data)


@given(data=st.binary(max_size=40) | st.text('{}[]":,0resultmethod\\u ', max_size=40).map(str.encode))
def test_whatever_bytes_arrive_nothing_but_a_decode_error_is_raised(data):
    for read in (read_ask, read_answer):
        try:
            read(data)
        except msgspec.DecodeError:
            continue


def test_an_answer_that_says_nothing_has_neither():
    assert read_answer(b'{"other":1}') == Answer()
