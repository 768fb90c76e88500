import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared import inbound

from actors.core.headers import (
    ParamHeader,
    check_params,
    check_routing,
    decode_value,
    encode_value,
    headers_for,
    invalid_annotation,
    mcp_headers,
    param_headers,
    routing_headers,
)

REVISION = "2026-07-28"

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = st.text(string.printable[:95], max_size=20)
WRAPPED = st.sampled_from(["=?base64?=", "=?base64??=", "=?base64?"]) | st.builds(
    "=?base64?{}?=".format, st.text(string.ascii_letters + "+/=", max_size=8)
)
HEADER_VALUE = PLAIN.map(str.strip) | WRAPPED | TEXT.map(encode_value)
NUMBER = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
SCALAR = st.none() | st.booleans() | NUMBER | TEXT
KEY = st.sampled_from(["a", "b", "c"])
ARGUMENTS = st.dictionaries(KEY, SCALAR | st.lists(SCALAR, max_size=1) | st.dictionaries(KEY, SCALAR, max_size=2))
TYPE = st.sampled_from(["string", "integer", "boolean", "number", "object", ["string", "null"], None])
TOKEN = st.sampled_from(["Region", "region", "Tenant", "bad name", "", 7])
OTHER_KEYWORDS = st.sampled_from(["items", "not", "if", "additionalProperties", "default", "$ref"])
LIST_KEYWORDS = st.sampled_from(["allOf", "anyOf", "prefixItems", "enum"])
MAP_KEYWORDS = st.sampled_from(["properties", "properties", "properties", "$defs", "patternProperties", "const"])


def schemas(inner):
    return st.fixed_dictionaries(
        {},
        optional={"type": TYPE, "x-mcp-header": TOKEN, "description": PLAIN},
    ).flatmap(
        lambda own: st.one_of(
            st.builds(lambda key, value: own | {key: value}, OTHER_KEYWORDS, inner),
            st.builds(lambda key, value: own | {key: [value]}, LIST_KEYWORDS, inner),
            st.builds(lambda key, value: own | {key: value}, MAP_KEYWORDS, st.dictionaries(KEY, inner, max_size=3)),
        )
    )


LEAF = st.fixed_dictionaries({}, optional={"type": TYPE, "x-mcp-header": TOKEN}) | st.just(True)
SCHEMA = st.recursive(LEAF, schemas, max_leaves=8)
NESTED = {
    "properties": {
        "a": {"type": "string", "x-mcp-header": "Text"},
        "b": {"type": "integer", "x-mcp-header": "Count"},
        "c": {"properties": {"a": {"type": "boolean", "x-mcp-header": "Deep"}}},
    }
}


@given(value=TEXT)
def test_any_text_survives_being_a_header(value):
    header = encode_value(value)

    assert header.isprintable()
    assert header.isascii()
    assert decode_value(f"\t {header} ") == value


@given(value=TEXT)
def test_values_are_encoded_as_the_official_sdk_does(value):
    assert encode_value(value) == inbound.encode_header_value(value)


@given(value=HEADER_VALUE)
def test_header_values_are_decoded_as_the_official_sdk_does(value):
    assert decode_value(value) == inbound.decode_header_value(value)


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ],
    ids=ascii,
)
def test_the_examples_of_the_specification_hold(value, header):
    assert encode_value(value) == header
    assert decode_value(header) == value


@pytest.mark.parametrize(
    "value",
    ["=?base64?%%%?=", "=?base64?YQ?=", "=?base64?YR==?=", "=?base64?/w==?=", "caf\xe9", "a\x00b", "a\nb", "\x7f"],
)
def test_a_malformed_header_value_has_no_meaning(value):
    assert decode_value(value) is None


@given(schema=SCHEMA)
def test_annotations_are_judged_as_the_official_sdk_does(schema):
    assert (invalid_annotation(schema) is None) == (inbound.find_invalid_x_mcp_header(schema) is None)


@given(schema=SCHEMA)
def test_annotated_arguments_are_found_as_the_official_sdk_does(schema):
    if inbound.find_invalid_x_mcp_header(schema) is None:
        expected = {path: f"Mcp-Param-{token}" for path, token in inbound.x_mcp_header_map(schema).items()}
    else:
        expected = {}

    assert {param.path: param.header for param in param_headers(schema)} == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"x-mcp-header": "Root", "type": "string"},
        {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "A b"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "A\r\nB: c"}}},
        {"properties": {"a": {"items": {"type": "string", "x-mcp-header": "A"}}}},
        {"items": {"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}},
        {"$defs": {"p": {"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}}},
        {"$defs": {"a": {"type": "string", "x-mcp-header": "A"}}},
        {"properties": {key: {"type": "string", "x-mcp-header": key} for key in ("a", "A")}},
    ],
)
def test_an_annotation_which_breaks_a_rule_is_refused_and_makes_no_headers(schema):
    assert invalid_annotation(schema) is not None
    assert param_headers(schema) == ()


@given(arguments=ARGUMENTS)
def test_headers_written_for_arguments_are_accepted_here_and_by_the_official_sdk(arguments):
    params = param_headers(NESTED)

    headers = headers_for(params, arguments)

    lower = {name.lower(): value for name, value in headers.items()}
    assert check_params(params, arguments, lower) is None
    assert inbound.validate_mcp_param_headers(NESTED, arguments, headers) is None


@given(arguments=ARGUMENTS)
def test_headers_the_official_sdk_writes_are_accepted(arguments):
    headers = inbound.mcp_param_headers(inbound.x_mcp_header_map(NESTED), arguments)

    lower = {name.lower(): value for name, value in headers.items()}
    assert check_params(param_headers(NESTED), arguments, lower) is None


@given(data=st.data(), arguments=ARGUMENTS)
def test_headers_and_arguments_are_compared_as_the_official_sdk_does(data, arguments):
    honest = {key.lower(): value for key, value in headers_for(param_headers(NESTED), arguments).items()}
    names = st.sampled_from(["mcp-param-text", "mcp-param-count", "mcp-param-deep", "mcp-param-unknown"])
    values = HEADER_VALUE | st.sampled_from(["0", "1.0", "true", "-0", "1e3", "1.5"])
    headers = honest | data.draw(st.dictionaries(names, values, max_size=2))
    for name in data.draw(st.sets(names, max_size=1)):
        headers.pop(name, None)

    ours = check_params(param_headers(NESTED), arguments, headers)
    theirs = inbound.validate_mcp_param_headers(NESTED, arguments, headers)

    assert (ours is None) == (theirs is None)


@pytest.mark.parametrize(
    ("value", "header", "agree"),
    [
        (42, "42", True),
        (42, "42.0", True),
        (42.0, "42", True),
        (42, "42.5", False),
        (42, "4.2e1", False),
        (2**70, str(2**70) + ".00", True),
        (2**70, str(2**70 + 1), False),
        (True, "1", False),
        (1, "9" * 5000, False),
        ("42", "42.0", False),
    ],
)
def test_integers_are_compared_as_numbers(value, header, agree):
    params = [ParamHeader(("n",), "Mcp-Param-N", integer=True)]

    reason = check_params(params, {"n": value}, {"mcp-param-n": header})

    assert (reason is None) == agree


def test_an_integral_float_is_written_as_an_integer():
    assert headers_for([ParamHeader(("n",), "Mcp-Param-N", integer=True)], {"n": 1e22}) == {"Mcp-Param-N": f"{10**22}"}


@pytest.mark.parametrize("unwritable", [None, [1], {"a": 1}, "\ud800", pytest.param(10**5000, id="huge")])
def test_an_argument_which_cannot_be_written_has_no_header_and_refuses_one(unwritable):
    params = [ParamHeader(("a",), "Mcp-Param-A")]

    assert headers_for(params, {"a": unwritable}) == {}
    assert check_params(params, {"a": unwritable}, {}) is None
    assert "does not have" in check_params(params, {"a": unwritable}, {"mcp-param-a": "x"})


def test_a_reason_never_repeats_a_value():
    params = [ParamHeader(("a",), "Mcp-Param-A")]

    reason = check_params(params, {"a": "body-secret"}, {"mcp-param-a": "header-secret"})

    assert reason == "the Mcp-Param-A header does not match the body's 'a'"


NAMED = st.sampled_from(["tools/call", "prompts/get", "resources/read"])


@given(method=NAMED | st.just("tools/list"), name=TEXT)
def test_routing_headers_agree_with_the_body_they_were_made_from(method, name):
    headers = routing_headers(method, name, REVISION)

    lower = {key.lower(): value for key, value in headers.items()}
    assert check_routing(method, name, REVISION, lower) is None


@given(
    method=st.sampled_from(["tools/call", "resources/read", "tools/list"]),
    name=PLAIN,
    headers=st.fixed_dictionaries(
        {},
        optional={
            "mcp-protocol-version": st.sampled_from([REVISION, "2025-11-25"]),
            "mcp-method": st.sampled_from(["tools/call", "resources/read", "Tools/Call"]),
            "mcp-name": HEADER_VALUE,
        },
    ),
    honest=st.booleans(),
)
def test_routing_headers_are_judged_as_the_official_sdk_does(method, name, headers, honest):
    if honest:
        headers["mcp-name"] = encode_value(name)
    meta = {inbound.PROTOCOL_VERSION_META_KEY: REVISION, inbound.CLIENT_CAPABILITIES_META_KEY: {}}
    key = "uri" if method == "resources/read" else "name"
    body = {"method": method, "params": {"_meta": meta, key: name}}

    theirs = inbound.classify_inbound_request(body, headers=headers)

    accepted = isinstance(theirs, inbound.InboundModernRoute)
    assert (check_routing(method, name, REVISION, headers) is None) == accepted


@pytest.mark.parametrize("header", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"])
@pytest.mark.parametrize("change", ["missing", "other", "repeated"])
def test_each_routing_header_must_be_there_once_and_agree(header, change):
    raw = [(key.encode(), value.encode()) for key, value in routing_headers("tools/call", "echo", REVISION).items()]
    chosen = next(pair for pair in raw if pair[0] == header.encode())
    if change == "repeated":
        raw.append((chosen[0].upper(), chosen[1]))
    else:
        raw.remove(chosen)
    if change == "other":
        raw.append((chosen[0], b"other"))

    reason = check_routing("tools/call", "echo", REVISION, mcp_headers(raw))

    assert reason is not None
    assert header in reason


def test_header_names_are_read_in_any_case_and_values_without_white_space_around_them():
    raw = [(b"MCP-METHOD", b"tools/call \t"), (b"mcp-name", b" echo"), (b"Mcp-Protocol-Version", b"2026-07-28")]

    assert check_routing("tools/call", "echo", REVISION, mcp_headers([*raw, (b"Accept", b"*/*")])) is None


def test_a_repeated_param_header_is_refused_even_if_both_copies_agree():
    params = [ParamHeader(("a",), "Mcp-Param-A")]
    headers = mcp_headers([(b"Mcp-Param-A", b"x"), (b"mcp-param-a", b"x")])

    assert check_params(params, {"a": "x"}, headers) == "the Mcp-Param-A header is repeated or malformed"
