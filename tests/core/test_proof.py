import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.proof import MAX_PROOF_BYTES, Proof, fits, read_proof, thumbprint
from tests.support.proofs import name_of, proof
from tests.support.tokens import ec_key, ed_key, rsa_key, segment

NOW = 1_800_000_000.0
TOKEN = "the.access.token"
URL = "https://gw.example/mcp"


def made(**changes: Any) -> str:
    return proof(ec_key(), NOW, token=TOKEN, url=URL, **changes)


def read(**changes: Any) -> Proof:
    found = read_proof(made(**changes))
    assert found is not None
    return found


def is_for_the_request(found: Proof, now: float = NOW) -> bool:
    return fits(found, method="POST", url=URL, token=TOKEN.encode(), now=now)


@pytest.mark.parametrize(("key", "algorithm"), [(ec_key(), "ES256"), (ed_key(), "EdDSA"), (rsa_key(), "RS256")])
def test_a_proof_is_read_whatever_kind_of_key_made_it(key: Any, algorithm: str) -> None:
    found = read_proof(proof(key, NOW, algorithm, token=TOKEN, url=URL))

    assert found is not None
    assert is_for_the_request(found)
    assert thumbprint(found.jwk) == name_of(key)


@pytest.mark.parametrize(
    "changes",
    [
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"htm": None},
        {"htu": None},
        {"iat": None},
        {"iat": str(NOW)},
        {"iat": NOW * 1000},
        {"ath": None},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": None}},
        {"header": {"jwk": None}},
        {"header": {"jwk": "key"}},
        {"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "private"}}},
        {"header": {"jwk": {"kty": "oct", "k": "shared"}}},
        {"header": {"crit": ["x"]}},
    ],
)
def test_what_is_no_proof_is_not_read(changes: dict[str, Any]) -> None:
    assert read_proof(made(**changes)) is None


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384", "RS1", ""])
def test_a_proof_by_an_algorithm_that_is_not_taken_is_not_read(algorithm: str) -> None:
    payload = made().split(".")[1]

    header = segment({"typ": "dpop+jwt", "alg": algorithm, "jwk": {}})

    assert read_proof(f"{header}.{payload}.x") is None


def test_a_member_said_twice_is_not_read() -> None:
    header, payload, signature = made().split(".")
    claims = json.dumps({"htm": "GET"})[:-1].encode() + b", " + base64.urlsafe_b64decode(payload + "==")[1:]

    assert read_proof(f"{header}.{segment(claims)}.{signature}") is None


def test_a_proof_of_any_length_is_not_read() -> None:
    assert read_proof(made(more="x" * MAX_PROOF_BYTES)) is None


@given(text=st.one_of(st.text(), st.lists(st.text("eyJ0_-= .é{}", max_size=20), max_size=4).map(".".join)))
def test_no_text_makes_reading_fail(text: str) -> None:
    assert read_proof(text) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"htm": "GET"},
        {"htm": "post"},
        {"htu": "https://gw.example/sse"},
        {"htu": "https://evil.example/mcp"},
        {"htu": "http://gw.example/mcp"},
        {"htu": "https://gw.example:8443/mcp"},
        {"htu": "https://gw.example@evil.example/mcp"},
        {"htu": "/mcp"},
        {"htu": "https://[/mcp"},
        {"iat": NOW - 31},
        {"iat": NOW + 31},
        {"ath": "x"},
        {"ath": base64.urlsafe_b64encode(hashlib.sha256(b"another.access.token").digest()).decode()},
    ],
)
def test_a_proof_for_another_request_does_not_fit(changes: dict[str, Any]) -> None:
    assert not is_for_the_request(read(**changes))


@pytest.mark.parametrize(
    "url",
    [
        "https://gw.example/mcp?a=1#b",
        "HTTPS://GW.example:443/mcp",
        "https://gw.example/mcp/",
        "https://gw.example/%6Dcp",
    ],
)
def test_a_url_may_be_written_in_other_ways(url: str) -> None:
    assert is_for_the_request(read(htu=url))


@pytest.mark.parametrize("off", [-30.0, 0.0, 30.0])
def test_a_clock_may_be_half_a_minute_off(off: float) -> None:
    assert is_for_the_request(read(), NOW + off)


def test_a_thumbprint_is_the_one_of_the_rfc() -> None:
    modulus = (  # RFC 7638, section 3.1
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhM"
        "stn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5h"
        "ajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}

    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("jwk", [{}, {"kty": "oct", "k": "x"}, {"kty": "EC", "crv": "P-256"}, {"kty": ["EC"]}])
def test_what_is_no_public_key_has_no_thumbprint(jwk: dict[str, Any]) -> None:
    assert thumbprint(jwk) is None
