import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.auth_settings import IssuerSettings
from actors.core.claims import Claims, decode_claims, judge, read_unverified, time_left
from actors.core.principal import Refusal

NOW = 1_800_000_000.0
ISSUER = IssuerSettings(issuer="https://issuer.example", audience="gateway", key_file="key.pem", leeway_seconds=30.0)
GOOD: dict[str, Any] = {"iss": ISSUER.issuer, "aud": "gateway", "sub": "alice", "exp": NOW + 600}


def claims(**changes: Any) -> Claims:
    decoded = decode_claims(msgspec.json.encode({**GOOD, **changes}))
    assert decoded is not None
    return decoded


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, None),
        ({"aud": ["other", "gateway"]}, None),
        ({"aud": ["other"]}, Refusal.INVALID),
        ({"aud": []}, Refusal.INVALID),
        ({"aud": "other gateway"}, Refusal.INVALID),
        ({"aud": "gatewa"}, Refusal.INVALID),
        ({"iss": "https://other.example"}, Refusal.INVALID),
        ({"exp": NOW - 29}, None),
        ({"exp": NOW - 30}, Refusal.EXPIRED),
        ({"exp": NOW - 30, "aud": "other"}, Refusal.INVALID),
        ({"nbf": NOW + 30}, None),
        ({"nbf": NOW + 31}, Refusal.INVALID),
        ({"iat": NOW + 30}, None),
        ({"iat": NOW + 31}, Refusal.INVALID),
        ({"exp": 1e308}, None),
    ],
)
def test_claims_are_judged_with_leeway(changes: dict[str, Any], refusal: Refusal | None) -> None:
    assert judge(claims(**changes), ISSUER, NOW) is refusal


@given(exp=st.floats(NOW - 1000, NOW + 1000), now=st.floats(NOW - 1000, NOW + 1000))
def test_a_token_is_expired_exactly_when_no_time_is_left(exp: float, now: float) -> None:
    judged = claims(exp=exp)

    assert (judge(judged, ISSUER, now) is Refusal.EXPIRED) == (time_left(judged, ISSUER, now) <= 0)


def test_an_expiry_that_is_no_number_of_seconds_is_not_accepted() -> None:
    endless = msgspec.structs.replace(claims(), exp=math.inf)

    assert judge(endless, ISSUER, NOW) is Refusal.INVALID


@pytest.mark.parametrize("missing", ["iss", "sub", "aud", "exp"])
def test_claims_without_a_required_one_are_not_read(missing: str) -> None:
    remaining = {name: value for name, value in GOOD.items() if name != missing}

    assert decode_claims(msgspec.json.encode(remaining)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": str(NOW + 600)},
        {"exp": None},
        {"exp": True},
        {"nbf": "now"},
        {"aud": ["gateway", 1]},
        {"aud": {"gateway": True}},
        {"sub": ""},
        {"sub": 7},
        {"iss": [ISSUER.issuer]},
    ],
)
def test_claims_of_a_wrong_type_are_not_read(changes: dict[str, Any]) -> None:
    assert decode_claims(msgspec.json.encode({**GOOD, **changes})) is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"\xff", b"[" * 20_000, b'{"x":' + b"[" * 20_000])
def test_a_payload_that_is_no_object_is_not_read(payload: bytes) -> None:
    assert decode_claims(payload) is None


@pytest.mark.parametrize(
    ("changes", "scopes"),
    [
        ({}, ()),
        ({"scope": "read  write"}, ("read", "write")),
        ({"scp": ["read", "write"]}, ("read", "write")),
        ({"scp": "read"}, ("read",)),
        ({"scope": "read", "scp": "write"}, ("read",)),
    ],
)
def test_scopes_are_read_in_every_form_that_issuers_use(changes: dict[str, Any], scopes: tuple[str, ...]) -> None:
    assert claims(**changes).principal.scopes == scopes


@given(text=st.one_of(st.text(), st.lists(st.text("eyJ0_-= .é{}", max_size=20), max_size=4).map(".".join)))
def test_no_text_makes_reading_a_token_fail(text: str) -> None:
    assert read_unverified(text) is None
