"""Issuers of whom only the name is configured; their metadata says where their keys are."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.core.auth_settings import AuthSettings
from actors.core.principal import Refusal
from serve_app.auth import Auth
from serve_app.discovery import places_of, read_metadata
from tests.support.hand_clock import HandClock
from tests.support.issuer_server import IssuerServer, issuer_server
from tests.support.tokens import claims, ed_key, issuer, jwk, key_set, rsa_key, token

OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
KEYS = "/keys"


@pytest.fixture
async def served() -> AsyncIterator[IssuerServer]:
    async with issuer_server() as server:
        server.pages[KEYS] = key_set(jwk(rsa_key(), "first"), jwk(ed_key(), "second"))
        yield server


def metadata(name: str, jwks_uri: str, **more: Any) -> bytes:
    return json.dumps({"issuer": name, "jwks_uri": jwks_uri, "more": {}, **more}).encode()


def made(name: str, clock: HandClock) -> tuple[Auth, str]:
    trusted = issuer(issuer=name, algorithms=("RS256", "EdDSA"))
    signed = token(claims(clock.now, iss=name, exp=clock.now + 1e6), rsa_key(), kid="first")
    return Auth(AuthSettings(issuers=(trusted,)), clock, monotonic=clock), signed


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", OAUTH),
        ("", OPENID),
        ("/", OPENID),
        ("/tenant", f"{OAUTH}/tenant"),
        ("/tenant", f"{OPENID}/tenant"),
        ("/tenant", f"/tenant{OPENID}"),
    ],
)
async def test_keys_are_found_wherever_the_metadata_is(served: IssuerServer, path: str, place: str) -> None:
    name = served.issuer + path
    served.pages[place] = metadata(name, served.issuer + KEYS)
    clock = HandClock()
    auth, signed = made(name, clock)

    first = await auth.verify(signed)
    before = len(served.asked)
    clock.advance(301)
    await auth.verify(signed)

    assert first.principal is not None
    assert served.asked[before:] == [place, KEYS]


async def test_a_key_of_another_kind_is_found_there_too(served: IssuerServer) -> None:
    served.pages[OAUTH] = metadata(served.issuer, served.issuer + KEYS)
    clock = HandClock()
    auth, _ = made(served.issuer, clock)

    verdict = await auth.verify(token(claims(clock.now, iss=served.issuer), ed_key(), "EdDSA", kid="second"))

    assert verdict.principal is not None


async def test_a_page_for_people_hides_no_metadata_elsewhere(served: IssuerServer) -> None:
    served.pages[OAUTH] = b"<html>"
    served.pages[OPENID] = metadata(served.issuer, served.issuer + KEYS)
    auth, signed = made(served.issuer, HandClock())

    assert (await auth.verify(signed)).principal is not None


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"issuer": "https://other.example"}',
        b'{"jwks_uri": "https://other.example"}',
    ],
)
async def test_metadata_of_somebody_else_or_none_leads_to_no_keys(served: IssuerServer, page: bytes) -> None:
    served.pages[OAUTH] = page
    auth, signed = made(served.issuer, HandClock())

    assert (await auth.verify(signed)).refusal is Refusal.UNAVAILABLE
    assert KEYS not in served.asked


async def test_an_issuer_with_a_slash_too_many_is_another_issuer(served: IssuerServer) -> None:
    served.pages[OAUTH] = metadata(f"{served.issuer}/", served.issuer + KEYS)
    auth, signed = made(served.issuer, HandClock())

    assert (await auth.verify(signed)).refusal is Refusal.UNAVAILABLE


@pytest.mark.parametrize("jwks_uri", ["http://x.example/keys", "file:///etc/passwd", "keys", "https://a:b@x.example/"])
def test_keys_of_an_issuer_behind_tls_are_behind_tls(jwks_uri: str) -> None:
    with pytest.raises(ValueError, match="at a URL that is not taken"):
        read_metadata(metadata("https://x.example", jwks_uri), "https://x.example")


async def test_where_nothing_is_found_the_token_is_not_refused_for_good(served: IssuerServer) -> None:
    clock = HandClock()
    auth, signed = made(served.issuer, clock)

    before = await auth.verify(signed)
    served.pages[OPENID] = metadata(served.issuer, served.issuer + KEYS)
    clock.advance(10)
    after = await auth.verify(signed)

    assert before.refusal is Refusal.UNAVAILABLE
    assert after.principal is not None


def test_the_places_are_those_of_the_specification_in_its_order() -> None:
    assert list(places_of("https://a.example/t1/")) == [
        "https://a.example/.well-known/oauth-authorization-server/t1",
        "https://a.example/.well-known/openid-configuration/t1",
        "https://a.example/t1/.well-known/openid-configuration",
    ]
    assert list(places_of("https://a.example")) == [f"https://a.example{OAUTH}", f"https://a.example{OPENID}"]
