import json

import mcp_types
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import jsonrpc as official

from actors.core import jsonrpc

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON, max_size=4)
LAYOUTS = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
NOT_UTF8 = [b'{"method":"\xff"}', b'{"id":1,"result":{"text":"\xe9"}}', b'{"id":1,"other":"\xed\xa0\x80"}']


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_codes_and_keys_are_those_of_the_official_sdk():
    assert jsonrpc.PARSE_ERROR == official.PARSE_ERROR
    assert jsonrpc.INVALID_REQUEST == official.INVALID_REQUEST
    assert jsonrpc.METHOD_NOT_FOUND == official.METHOD_NOT_FOUND
    assert jsonrpc.INVALID_PARAMS == official.INVALID_PARAMS
    assert jsonrpc.INTERNAL_ERROR == official.INTERNAL_ERROR
    assert jsonrpc.HEADER_MISMATCH == official.HEADER_MISMATCH
    assert jsonrpc.MISSING_CLIENT_CAPABILITY == official.MISSING_REQUIRED_CLIENT_CAPABILITY
    assert jsonrpc.UNSUPPORTED_REVISION == official.UNSUPPORTED_PROTOCOL_VERSION
    assert jsonrpc.PROTOCOL_VERSION_KEY == mcp_types.PROTOCOL_VERSION_META_KEY
    assert jsonrpc.CLIENT_INFO_KEY == mcp_types.CLIENT_INFO_META_KEY
    assert jsonrpc.CLIENT_CAPABILITIES_KEY == mcp_types.CLIENT_CAPABILITIES_META_KEY
    assert jsonrpc.LOG_LEVEL_KEY == mcp_types.LOG_LEVEL_META_KEY
    assert jsonrpc.SERVER_INFO_KEY == mcp_types.SERVER_INFO_META_KEY
    assert jsonrpc.SUBSCRIPTION_ID_KEY == SUBSCRIPTION_ID_META_KEY


@given(value=OBJECTS, added=JSON, layout=LAYOUTS)
def test_adding_a_member_changes_no_other(value, added, layout):
    value.pop("added", None)
    body = b" \n" + json.dumps(value, **layout).encode() + b" "

    extended = jsonrpc.with_member(body, "added", json.dumps(added, **layout).encode())

    assert json.loads(extended) == {"added": added, **value}


@given(value=OBJECTS, layout=LAYOUTS)
def test_an_object_taken_apart_and_put_together_is_the_same(value, layout):
    body = json.dumps(value, **layout).encode()

    members = jsonrpc.decode_object(body)

    assert json.loads(jsonrpc.encode(members)) == value


@given(value=JSON, layout=LAYOUTS)
def test_what_stays_raw_keeps_every_byte(value, layout):
    text = json.dumps(value, **layout).encode()

    message = jsonrpc.decode_message(b'{"jsonrpc": "2.0", "id": 1, "result": {"value": ' + text + b"}}")

    assert bytes(message.result) == b'{"value": ' + text + b"}"
    assert bytes(jsonrpc.decode_object(message.result)["value"]) == text


@given(params=OBJECTS, text=st.text(max_size=8))
def test_messages_of_ours_are_what_they_say(params, text):
    body, request_id = json.dumps(params).encode(), json.dumps(text).encode()

    assert json.loads(jsonrpc.request(7, "m", body)) == {"jsonrpc": "2.0", "id": 7, "method": "m", "params": params}
    assert json.loads(jsonrpc.notification("m", body)) == {"jsonrpc": "2.0", "method": "m", "params": params}
    assert json.loads(jsonrpc.result_response(request_id, body)) == {"jsonrpc": "2.0", "id": text, "result": params}
    assert json.loads(jsonrpc.error_response(request_id, body)) == {"jsonrpc": "2.0", "id": text, "error": params}
    assert json.loads(jsonrpc.error(-1, text, params)) == {"code": -1, "message": text, "data": params}
    assert json.loads(jsonrpc.error(-1, text)) == {"code": -1, "message": text}


@given(data=st.binary(max_size=40))
def test_whatever_bytes_arrive_nothing_but_a_decode_error_is_raised(data):
    for decode in (
        jsonrpc.decode_message,
        jsonrpc.decode_object,
        jsonrpc.decode_list,
        jsonrpc.decode_text,
        jsonrpc.decode_error,
        jsonrpc.value,
    ):
        try:
            decode(data)
        except msgspec.DecodeError:
            continue
    assert jsonrpc.text(data) is None or data.lstrip().startswith(b'"')


@pytest.mark.parametrize("body", NOT_UTF8)
def test_a_message_that_is_not_utf8_is_refused_wherever_the_fault_is(body):
    with pytest.raises(msgspec.DecodeError):
        jsonrpc.decode_message(body)


def test_utf8_is_no_fault():
    message = jsonrpc.decode_message('{"method":"é","params":{"a":"工具"}}'.encode())

    assert message.method == "é"
    assert bytes(message.params) == '{"a":"工具"}'.encode()


@pytest.mark.parametrize("levels", [2_000, 200_000])
def test_nesting_without_end_is_an_error_of_the_message(levels):
    body = b'{"code":1,"message":"m","data":' + deep(levels) + b"}"

    for decode in (jsonrpc.decode_message, jsonrpc.decode_object, jsonrpc.decode_error, jsonrpc.value):
        with pytest.raises(msgspec.DecodeError, match="nested too deeply"):
            decode(body)


@pytest.mark.parametrize("data", [b"1e999", pytest.param(b"9" * 5000, id="huge"), b'"\\ud83d\\ude00"', b"null"])
def test_an_error_is_read_whatever_its_data(data):
    error = jsonrpc.decode_error(b'{"code":-32000,"message":"m","data":%b}' % data)

    assert (error.code, error.message) == (-32000, "m")


@pytest.mark.parametrize("body", [b"{}", b'{"code":"1","message":"m"}', b'{"code":1.5,"message":"m"}', b"[]", b""])
def test_what_is_no_error_is_refused(body):
    with pytest.raises(msgspec.DecodeError):
        jsonrpc.decode_error(body)


def test_the_elements_of_a_list_are_left_as_they_are():
    assert [bytes(each) for each in jsonrpc.decode_list(b'[ {"a": 1.0} , 2]')] == [b'{"a": 1.0}', b"2"]


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[", pytest.param(deep(100_000), id="deep")])
def test_what_is_no_list_is_said_to_be_none(data):
    with pytest.raises(msgspec.DecodeError):
        jsonrpc.decode_list(data)


@given(request_id=st.text(max_size=8), method=st.text(max_size=8), params=OBJECTS)
def test_a_question_to_a_client_is_a_request_with_a_text_for_its_id(request_id, method, params):
    asked = json.loads(jsonrpc.question(request_id, method, json.dumps(params).encode()))

    assert asked == {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def test_absent_members_are_nothing():
    assert jsonrpc.value(None) is None
    assert jsonrpc.text(None) is None
    assert jsonrpc.decode_object(b"") == {}
    assert jsonrpc.decode_object(msgspec.Raw()) == {}


@pytest.mark.parametrize("raw", [b"1", b"null", b"{}", b'["a"]'])
def test_a_member_of_another_type_is_no_text(raw):
    assert jsonrpc.text(msgspec.Raw(raw)) is None


@given(value=JSON)
def test_only_objects_are_objects(value):
    assert jsonrpc.is_object(jsonrpc.raw(value)) is isinstance(value, dict)
