import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.naming import Owned
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.routing import Route

HOP_KEYS = [
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/logLevel",
    "progressToken",
]
TEXT = st.text(max_size=8)
VALUES = st.none() | st.booleans() | st.integers() | TEXT | st.dictionaries(TEXT, TEXT, max_size=2)
METAS = st.dictionaries(TEXT | st.sampled_from([*HOP_KEYS, "traceparent"]), VALUES, max_size=6)


def members(value: dict[str, object]) -> jsonrpc.Object:
    return {key: jsonrpc.raw(each) for key, each in value.items()}


def request(meta: dict[str, object], params: dict[str, object] | None = None) -> Request:
    return Request(b"1", "tools/call", Era.MODERN, members(params or {}), members(meta), b"origin")


def route(params: dict[str, object] | None = None) -> Route:
    return Route(Owned("git", "status"), members(params or {}))


@given(meta=METAS, params=st.dictionaries(TEXT, VALUES))
def test_a_call_carries_everything_but_what_belongs_to_the_hop(meta, params):
    call = request(meta).call(route(params), 2.5)

    assert json.loads(call.params) == params
    assert json.loads(call.meta) == {key: value for key, value in meta.items() if key not in HOP_KEYS}
    assert (call.method, call.name, call.time_left, call.origin) == ("tools/call", "status", 2.5, b"origin")


@given(meta=METAS, capabilities=st.dictionaries(TEXT, st.just({})), info=st.dictionaries(TEXT, TEXT))
def test_a_call_speaks_for_this_client_only(meta, capabilities, info):
    meta |= {jsonrpc.CLIENT_CAPABILITIES_KEY: capabilities, jsonrpc.CLIENT_INFO_KEY: info}

    call = request(meta).call(route(), 1.0)

    assert json.loads(call.capabilities) == capabilities
    assert json.loads(call.client_info) == info


def test_a_client_that_says_nothing_of_itself_has_nothing():
    call = request({}).call(route(), 1.0)

    assert (call.capabilities, call.client_info, call.log_level, call.wants_progress) == (b"{}", None, None, False)


@pytest.mark.parametrize("token", [b"7", b"-7", b"1.5", b'"a"', b'"\\u0061"', b'""'])
def test_a_progress_token_is_given_back_exactly_as_it_came(token):
    asking = Request(b"1", "m", Era.MODERN, {}, {"progressToken": jsonrpc.raw_bytes(token)})

    assert asking.progress_token == token
    assert asking.call(route(), 1.0).wants_progress


@pytest.mark.parametrize("token", [b"null", b"true", b"{}", b"[1]"])
def test_what_is_no_token_asks_for_no_progress(token):
    asking = Request(b"1", "m", Era.MODERN, {}, {"progressToken": jsonrpc.raw_bytes(token)})

    assert asking.progress_token is None
    assert not asking.call(route(), 1.0).wants_progress


@pytest.mark.parametrize(("level", "told"), [("debug", "debug"), (None, None), (7, None)])
def test_a_log_level_is_passed_on_if_it_is_text(level, told):
    assert request({jsonrpc.LOG_LEVEL_KEY: level}).call(route(), 1.0).log_level == told


def test_a_call_about_nothing_in_particular_has_no_name():
    assert request({}).call(Route(Owned("git", ""), {}), 1.0).name is None
