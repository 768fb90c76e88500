import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.continuation import Continuation, Way, decode, digest_of, encode
from actors.core.membership import ReplicaKey
from actors.core.where import Where

WHERES = st.builds(
    Where,
    st.builds(ReplicaKey, st.text(max_size=8), st.integers(0, 99)),
    st.text(max_size=8),
    st.binary(max_size=16),
    st.integers(0, 2**53),
)
CONTINUATIONS = st.builds(
    Continuation,
    st.sampled_from(Way),
    st.binary(max_size=16),
    WHERES,
    st.floats(0, 1e12),
    st.none() | st.binary(max_size=40),
)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))
PARAMS = st.dictionaries(st.sampled_from(["name", "arguments", "uri", "own"]) | st.text(max_size=4), JSON, max_size=4)


def read(params: object, **layout: object) -> jsonrpc.Object:
    return jsonrpc.decode_object(json.dumps(params, **layout).encode())


def turned(value: object) -> object:
    """The same value with the members of all objects in another order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(each) for each in value] if isinstance(value, list) else value


@given(continuation=CONTINUATIONS)
def test_a_continuation_survives_its_journey(continuation):
    assert decode(encode(continuation)) == continuation


@given(params=PARAMS, retry=st.dictionaries(st.sampled_from(["inputResponses", "requestState"]), JSON))
def test_the_digest_of_a_retry_is_that_of_the_request_however_it_is_written(params, retry):
    first = digest_of("tools/call", read(params))

    assert digest_of("tools/call", read(turned({**retry, **params}), indent=1, ensure_ascii=False)) == first


@given(params=PARAMS, other=PARAMS)
def test_other_parameters_have_another_digest(params, other):
    for key in ("inputResponses", "requestState"):
        assume(key not in params)
        assume(key not in other)
    same = json.dumps(params, sort_keys=True) == json.dumps(other, sort_keys=True)

    assert (digest_of("tools/call", read(params)) == digest_of("tools/call", read(other))) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1}', b'{"a":2}'),
        (b'{"a":1}', b'{"a":true}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":null}', b"{}"),
        (b'{"a":[1,2]}', b'{"a":[2,1]}'),
        (b'{"a":18446744073709551616}', b'{"a":18446744073709551617}'),
        (b'{"a":1e999}', b'{"a":1e998}'),
    ],
)
def test_what_looks_alike_and_is_not_has_another_digest(one, other):
    assert digest_of("m", jsonrpc.decode_object(one)) != digest_of("m", jsonrpc.decode_object(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rb'{"a":"\u00e9\/"}', '{"a":"é/"}'.encode()),
        (b'{"a":1e2}', b'{"a":100.0}'),
        (b'{"a":{"b":1,"c":2}}', b' {"a" : {"c":2, "b":1}} '),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'{"a":1e999}', b'{ "a" : 1e999}'),
    ],
)
def test_the_same_values_written_otherwise_have_the_same_digest(one, other):
    assert digest_of("m", jsonrpc.decode_object(one)) == digest_of("m", jsonrpc.decode_object(other))


def test_another_method_has_another_digest():
    assert digest_of("tools/call", {}) != digest_of("prompts/get", {})


@pytest.mark.parametrize("levels", [100, 900, 1000, 100_000])
def test_parameters_of_any_depth_have_a_digest(levels):
    params = {"a": jsonrpc.raw_bytes(b"[" * levels + b"]" * levels)}

    assert digest_of("tools/call", params) == digest_of("tools/call", dict(params))
