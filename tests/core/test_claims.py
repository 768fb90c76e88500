import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.audience import Audience
from actors.core.auth_settings import IssuerSettings
from actors.core.claims import (
    Claims,
    Header,
    is_access_token,
    judge,
    principal_of,
    read_claims,
    read_unverified,
    time_left,
)
from actors.core.json_once import decode_object
from actors.core.principal import Kind, Principal, Refusal
from tests.support.tokens import segment

NOW = 1_800_000_000.0
ISSUER = IssuerSettings(issuer="https://issuer.example", audience="gateway", key_file="key.pem", leeway_seconds=30.0)
GOOD: dict[str, Any] = {"iss": ISSUER.issuer, "aud": "gateway", "sub": "alice", "exp": NOW + 600}


AUDIENCE = Audience(ISSUER.audience, None)


def claims(**changes: Any) -> Claims:
    read = read_claims({**GOOD, **changes})
    assert read is not None
    return read


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
        ({"exp": 253_402_300_799}, None),
        ({"auth_time": NOW + 30}, None),
        ({"auth_time": NOW + 31}, Refusal.INVALID),
    ],
)
def test_claims_are_judged_with_leeway(changes: dict[str, Any], refusal: Refusal | None) -> None:
    assert judge(claims(**changes), ISSUER, AUDIENCE, NOW) is refusal


@given(exp=st.floats(NOW - 1000, NOW + 1000), now=st.floats(NOW - 1000, NOW + 1000))
def test_a_token_is_expired_exactly_when_no_time_is_left(exp: float, now: float) -> None:
    judged = claims(exp=exp)

    assert (judge(judged, ISSUER, AUDIENCE, now) is Refusal.EXPIRED) == (time_left(judged, ISSUER, now) <= 0)


@pytest.mark.parametrize("missing", ["iss", "sub", "aud", "exp"])
def test_claims_without_a_required_one_are_not_read(missing: str) -> None:
    remaining = {name: value for name, value in GOOD.items() if name != missing}

    assert read_claims(remaining) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": str(NOW + 600)},
        {"exp": None},
        {"exp": True},
        {"exp": NOW * 1000},
        {"exp": -1},
        {"exp": math.inf},
        {"exp": math.nan},
        {"nbf": NOW * 1000},
        {"iat": 1e308},
        {"auth_time": True},
        {"amr": [1]},
        {"jti": 7},
        {"act": "somebody"},
        {"cnf": {}},
        {"cnf": {"jkt": ""}},
        {"cnf": {"x5t#S256": "x"}},
        {"cnf": {"jkt": "x", "x5t#S256": "x"}},
        {"nbf": "now"},
        {"aud": ["gateway", 1]},
        {"aud": {"gateway": True}},
        {"sub": ""},
        {"sub": 7},
        {"iss": [ISSUER.issuer]},
    ],
)
def test_claims_of_a_wrong_type_are_not_read(changes: dict[str, Any]) -> None:
    assert read_claims({**GOOD, **changes}) is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"\xff", b"[" * 20_000, b'{"x":' + b"[" * 20_000])
def test_a_payload_that_is_no_object_is_not_read(payload: bytes) -> None:
    assert decode_object(payload) is None


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
    assert principal_of(claims(**changes), {}, ISSUER).scopes == scopes


def test_all_that_a_token_says_of_a_person_is_in_the_principal() -> None:
    said = {
        **GOOD,
        "client_id": "desktop",
        "groups": ["staff", 7, "ops"],
        "amr": ["pwd", "otp"],
        "acr": 2,
        "auth_time": NOW - 5,
        "iat": NOW - 3,
        "jti": "t-1",
        "act": {"sub": "robot", "act": {"sub": "older"}},
        "cnf": {"jkt": "thumb"},
        "azp": "not looked at",
    }

    found = principal_of(claims(**said), said, ISSUER)

    assert found == Principal(
        "alice",
        ISSUER.issuer,
        Kind.TOKEN,
        client="desktop",
        groups=("staff", "ops"),
        amr=("pwd", "otp"),
        acr="2",
        auth_time=NOW - 5,
        token_id="t-1",
        issued_at=NOW - 3,
        actor="robot",
        key_thumbprint="thumb",
    )


@pytest.mark.parametrize(
    ("name", "said", "groups"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["a", "b"]}}, ("a", "b")),
        ("https://x.example/groups", {"https://x.example/groups": ["a"]}, ("a",)),
        ("a.b", {"a.b": "whole", "a": {"b": "part"}}, ("whole",)),
        ("a.b", {"a": ["b"]}, ()),
        ("a.b", {"a": {"c": "x"}}, ()),
        ("groups", {"groups": "one"}, ("one",)),
        ("groups", {"groups": {"one": True}}, ()),
    ],
)
def test_groups_are_found_by_the_name_of_the_claim_or_the_way_to_it(
    name: str, said: dict[str, Any], groups: tuple[str, ...]
) -> None:
    issuer = replace(ISSUER, groups_claim=name)

    assert principal_of(claims(), said, issuer).groups == groups


@pytest.mark.parametrize(("said", "client"), [({"azp": "a"}, "a"), ({"client_id": 7, "azp": "a"}, "a"), ({}, "")])
def test_the_client_is_the_authorised_party_where_no_other_claim_names_it(said: dict[str, Any], client: str) -> None:
    assert principal_of(claims(azp=said.get("azp", "")), said, ISSUER).client == client


def test_a_claim_that_is_null_is_a_claim_that_is_missing() -> None:
    assert claims(nbf=None, azp=None, cnf=None) == claims()
    assert read_claims({**GOOD, "aud": None}) is None


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", None])
def test_an_access_token_may_say_so_or_nothing(typ: str | None) -> None:
    assert is_access_token(Header("RS256", typ=typ), {"typ": "Bearer"})


@pytest.mark.parametrize(
    ("typ", "said"),
    [
        ("logout+jwt", {}),
        ("dpop+jwt", {}),
        ("id_token+jwt", {}),
        ("", {}),
        ("JWT", {"at_hash": "x"}),
        ("JWT", {"c_hash": "x"}),
        ("JWT", {"events": {}}),
        ("JWT", {"typ": "ID"}),
        ("JWT", {"typ": "Refresh"}),
        ("at+jwt", {"typ": "Logout"}),
    ],
)
def test_a_token_that_is_for_something_else_is_told(typ: str, said: dict[str, Any]) -> None:
    assert not is_access_token(Header("RS256", typ=typ), said)


@given(text=st.one_of(st.text(), st.lists(st.text("eyJ0_-= .é{}", max_size=20), max_size=4).map(".".join)))
def test_no_text_makes_reading_a_token_fail(text: str) -> None:
    assert read_unverified(text) is None


@pytest.mark.parametrize("crit", [[], ["exp"], None, "x"])
def test_a_token_with_extensions_that_must_be_understood_is_not_read(crit: object) -> None:
    payload = segment(GOOD)

    assert read_unverified(f"{segment({'alg': 'RS256'})}.{payload}.x") == (Header("RS256"), ISSUER.issuer)
    assert read_unverified(f"{segment({'alg': 'RS256', 'crit': crit})}.{payload}.x") is None
