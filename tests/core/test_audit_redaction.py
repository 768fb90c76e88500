"""Arguments as the audit may keep them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.audit.redaction import MAX_BYTES, MAX_DEPTH, REDACTED, Redaction

SECRET = "hunter2-0123456789abcdef"

names = st.sampled_from(
    ["password", "apiKey", "API_KEY", "client_secret", "accessToken", "Authorization", "x-api-key", "passphrase",
     "private_key", "session_id", "Cookie", "dbPassword", "github-token", "credentials", "refresh_token", "auth"]
)  # fmt: skip
plain = st.dictionaries(st.text("abcxyz", max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=9))


@given(
    name=names,
    value=st.sampled_from([SECRET, [SECRET], {"a": SECRET}, {"a": [{"b": SECRET}]}]),
    around=plain,
    depth=st.integers(0, 8),
)
def test_a_value_under_a_secret_name_is_never_kept_wherever_it_stands(
    name: str, value: Any, around: dict[str, Any], depth: int
) -> None:
    arguments: Any = {**around, name: value}
    for level in range(depth):
        arguments = [arguments] if level % 2 else {"inner": arguments}

    assert SECRET.encode() not in Redaction().arguments(json.dumps(arguments).encode())


@pytest.mark.parametrize("member", ["name", "key", "header"])
def test_a_value_beside_a_secret_name_is_not_kept(member: str) -> None:
    kept = Redaction().arguments(json.dumps({"headers": [{member: "Authorization", "value": SECRET}]}).encode())

    assert SECRET.encode() not in kept


@pytest.mark.parametrize(
    "text",
    [
        f"curl -H 'Authorization: Bearer {SECRET}' x",
        f"https://me:{SECRET}@example.org/",
        f"https://example.org/?a=1&access_token={SECRET}",
        "o1m_" + SECRET,
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_credential_in_the_midst_of_a_text_is_not_kept(text: str) -> None:
    assert SECRET not in Redaction().text(text)
    assert REDACTED in Redaction().text(text)


def test_what_is_no_secret_is_kept_as_it_is() -> None:
    arguments = {"path": "src/x.py", "limit": 5, "flags": [True, None, 1.5], "monkey": "banana", "author": "ann"}

    assert json.loads(Redaction().arguments(json.dumps(arguments).encode())) == arguments


def test_names_of_the_configuration_are_globs_without_regard_to_case() -> None:
    kept = Redaction(["ssn", "card_*"]).arguments(b'{"SSN":"1","card_number":"2","cardinal":"3"}')

    assert json.loads(kept) == {"SSN": REDACTED, "card_number": REDACTED, "cardinal": "3"}


@given(
    st.recursive(
        st.text() | st.integers(), lambda v: st.lists(v, max_size=60) | st.dictionaries(st.text(), v, max_size=60)
    )
)
def test_what_is_kept_is_json_of_a_bounded_size(value: Any) -> None:
    kept = Redaction().arguments(json.dumps(value).encode())

    json.loads(kept)
    assert len(kept) <= MAX_BYTES


@pytest.mark.parametrize("raw", [b"[" * 50_000, b"\xff", b"nonsense", b'"' + b"a" * 200_000 + b'"', b"1e999"])
def test_what_cannot_be_read_is_not_kept(raw: bytes) -> None:
    assert len(Redaction().arguments(raw)) < 100


def test_a_long_text_is_cut_after_its_credentials_are_gone() -> None:
    text = "x" * 250 + f" Bearer {SECRET}"

    assert SECRET[:4] not in Redaction().text(text)


def test_what_is_nested_deeply_is_left_out() -> None:
    arguments: object = "innermost"
    for _ in range(20):
        arguments = {"a": [arguments]}

    kept = Redaction().arguments(json.dumps(arguments).encode())

    assert b"innermost" not in kept
    assert kept.count(b'"a"') == MAX_DEPTH // 2
