import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.balance_key import affinity_of
from actors.core.client import Client
from actors.core.settings import Isolation
from actors.core.traffic_settings import BalancerSettings, Balancing, Stickiness
from actors.core.view import BackendView

SOMEBODY = Client("2025-11-25", "token:0::somebody", session=b"nonce")
WITHOUT_SESSION = Client("2026-07-28", "token:0::somebody")
PRINCIPAL = b"token:0::somebody"


def backend(isolation=Isolation.SHARED, stickiness=Stickiness.OFF, key=None):
    balancer = BalancerSettings() if key is None else BalancerSettings(kind=Balancing.HASH, key=key)
    return BackendView("git", 1.0, isolation=isolation, stickiness=stickiness, balancer=balancer)


def affinity(at, client=SOMEBODY, name="tool", arguments=b"{}", headers=None):
    return affinity_of(at, client, name, {"arguments": msgspec.Raw(arguments)}, headers or {})


@pytest.mark.parametrize("kind", [kind for kind in Balancing if kind is not Balancing.HASH])
def test_where_nothing_is_kept_any_replica_will_do(kind):
    at = BackendView("git", 1.0, balancer=BalancerSettings(kind=kind, key="principal"))

    assert affinity(at) is None


@pytest.mark.parametrize("stickiness", Stickiness)
def test_conversations_of_a_principal_are_with_one_replica_whatever_its_sessions(stickiness):
    at = backend(Isolation.PRINCIPAL, stickiness, key="tool")

    assert affinity(at) == affinity(at, WITHOUT_SESSION) == PRINCIPAL


@pytest.mark.parametrize(
    ("isolation", "stickiness"),
    [
        (Isolation.SESSION, Stickiness.HARD),
        (Isolation.SESSION, Stickiness.OFF),
        (Isolation.SHARED, Stickiness.SOFT),
        (Isolation.SHARED, Stickiness.HARD),
    ],
)
def test_what_is_sticky_goes_by_session_and_by_principal_where_there_is_none(isolation, stickiness):
    at = backend(isolation, stickiness, key="tool")

    assert affinity(at) == b"nonce"
    assert affinity(at, WITHOUT_SESSION) == PRINCIPAL


def test_a_hash_is_of_what_it_is_set_to():
    tenant = {b"x-tenant": b"acme"}

    assert affinity(backend(key="session")) == b"nonce"
    assert affinity(backend(key="session"), WITHOUT_SESSION) == PRINCIPAL
    assert affinity(backend(key="principal")) == PRINCIPAL
    assert affinity(backend(key="tool"), name="echo") == b"echo"
    assert affinity(backend(key="header:X-Tenant"), headers=tenant) == b"acme"
    assert affinity(backend(key="argument:repo"), arguments=b'{"repo":"one","more":2}') == b'"one"'
    assert affinity(backend(key="argument:a:b"), arguments=b'{"a:b":7}') == b"7"


def test_a_call_without_what_is_hashed_goes_anywhere():
    assert affinity(backend(key="tool"), name=None) is None
    assert affinity(backend(key="header:x-tenant")) is None
    assert affinity_of(backend(key="argument:repo"), SOMEBODY, "tool", {}, {}) is None


@pytest.mark.parametrize(
    "arguments",
    [
        b"{}",
        b'{"repo":null}',
        b"[1]",
        b"7",
        b'{"repo":',
        b'{"repo":1e400}',
        b'{"repo":' + b"[" * 9000 + b"]" * 9000 + b"}",
    ],
    ids=["none", "null", "array", "number", "broken", "too great", "too deep"],
)
def test_arguments_that_lack_it_or_cannot_be_read_go_anywhere(arguments):
    assert affinity(backend(key="argument:repo"), arguments=arguments) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [(b'{"x":1,"y":[2]}', b' { "y" : [ 2 ],\n"x" : 1 } '), (b'"\xc3\xa9"', b'"\\u00e9"'), (b"1.50", b"1.5")],
)
def test_however_an_argument_is_spelt_it_is_the_same(one, other):
    at = backend(key="argument:repo")

    assert affinity(at, arguments=b'{"repo":%b}' % one) == affinity(at, arguments=b'{"repo":%b}' % other)


JSON = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(value=JSON)
def test_any_argument_at_all_makes_a_key(value):
    at = backend(key="argument:repo")

    assert affinity(at, arguments=jsonrpc.encode({"repo": value})) is not None


@given(arguments=st.binary(max_size=60))
def test_no_arguments_make_an_error(arguments):
    found = affinity(backend(key="argument:repo"), arguments=arguments)

    assert found is None or isinstance(found, bytes)
