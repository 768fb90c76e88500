import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.client import Client
from actors.core.naming import Owned
from actors.core.request import Request
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
CLIENT = Client("2026-07-28", "ada")
METAS = st.dictionaries(TEXT | st.sampled_from([*HOP_KEYS, "traceparent"]), VALUES, max_size=6)


def members(value: dict[str, object]) -> jsonrpc.Object:
    return {key: jsonrpc.raw(each) for key, each in value.items()}


def request(meta: dict[str, object], client: Client = CLIENT) -> Request:
    return Request(b"1", "tools/call", {}, members(meta), client, b"origin")


def route(params: dict[str, object] | None = None) -> Route:
    return Route(Owned("git", "status"), members(params or {}))


@given(meta=METAS, params=st.dictionaries(TEXT, VALUES))
def test_a_call_carries_everything_but_what_belongs_to_the_hop(meta, params):
    call = request(meta).call(route(params), 2.5)

    assert json.loads(call.params) == params
    assert json.loads(call.meta) == {key: value for key, value in meta.items() if key not in HOP_KEYS}
    assert (call.method, call.name, call.time_left, call.origin) == ("tools/call", "status", 2.5, b"origin")


@given(
    client=st.builds(
        Client,
        st.just("2025-11-25"),
        TEXT,
        TEXT,
        capabilities=st.binary(max_size=4),
        info=st.none() | st.binary(max_size=4),
        log_level=st.none() | TEXT,
        interactive=st.booleans(),
        session=st.binary(max_size=4),
    ),
    meta=METAS,
    ticket=st.binary(max_size=4),
)
def test_a_call_speaks_for_this_client_only(client, meta, ticket):
    call = request(meta, client).call(route(), 1.0, ticket)

    assert (call.capabilities, call.client_info, call.log_level) == (client.capabilities, client.info, client.log_level)
    assert (call.interactive, call.principal, call.session) == (client.interactive, client.principal, client.session)
    assert call.ticket == ticket


def test_a_client_that_says_nothing_of_itself_has_nothing():
    call = request({}).call(route(), 1.0)

    assert (call.capabilities, call.client_info, call.log_level, call.wants_progress) == (b"{}", None, None, False)
    assert (call.interactive, call.session, call.ticket) == (False, b"", b"")


@pytest.mark.parametrize("token", [b"7", b"-7", b"1.5", b'"a"', b'"\\u0061"', b'""'])
def test_a_progress_token_is_given_back_exactly_as_it_came(token):
    asking = Request(b"1", "m", {}, {"progressToken": jsonrpc.raw_bytes(token)}, CLIENT)

    assert asking.progress_token == token
    assert asking.call(route(), 1.0).wants_progress


@pytest.mark.parametrize("token", [b"null", b"true", b"{}", b"[1]"])
def test_what_is_no_token_asks_for_no_progress(token):
    asking = Request(b"1", "m", {}, {"progressToken": jsonrpc.raw_bytes(token)}, CLIENT)

    assert asking.progress_token is None
    assert not asking.call(route(), 1.0).wants_progress


def test_a_call_about_nothing_in_particular_has_no_name():
    assert request({}).call(Route(Owned("git", ""), {}), 1.0).name is None
