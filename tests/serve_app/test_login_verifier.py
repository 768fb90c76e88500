"""Which logins are believed, and which are not."""

import base64
import hashlib
import json
from typing import Any

import jwt
import pytest

from serve_app.oauth.form import OAuthError
from serve_app.oauth.logins import Identity, Offered
from tests.support.asgi import ask
from tests.support.login_provider import CLIENT, ISSUER, NOW, LoginProvider, form
from tests.support.oauth_office import OAuthOffice
from tests.support.tokens import ed_key, rsa_key, token
from tests.support.vault import VaultBox

SECRET = "se:cret/of the+1"


@pytest.fixture
def provider() -> LoginProvider:
    return LoginProvider()


async def refused(provider: LoginProvider, /, **changes: Any) -> OAuthError:
    found = await provider.verifier().verify(form(**changes))
    assert isinstance(found, OAuthError)
    return found


async def test_a_person_is_who_the_provider_says_with_groups_and_how_they_logged_in(provider: LoginProvider) -> None:
    found = await provider.verifier().verify(form())

    assert found == Identity("corp", "ada", CLIENT, ("dev",), ("pwd", "otp"), "2", NOW - 60)
    url, sent, headers = provider.asked[0]
    assert url == f"{ISSUER}/token"
    assert sent["client_id"] == CLIENT
    assert sent["code_verifier"] == form()["code_verifier"]
    assert "client_secret" not in sent
    assert headers == {}


async def test_groups_are_found_where_the_settings_say(provider: LoginProvider) -> None:
    provider.claims = {"realm_access": {"roles": ["ops"]}}

    found = await provider.verifier(groups_claim="realm_access.roles").verify(form())

    assert isinstance(found, Identity)
    assert found.groups == ("ops",)


@pytest.mark.parametrize("methods", [["client_secret_basic"], ["client_secret_post"], None])
async def test_the_secret_goes_to_the_provider_as_that_wants_it(
    provider: LoginProvider, methods: list[str] | None
) -> None:
    if methods is not None:
        provider.metadata["token_endpoint_auth_methods_supported"] = methods

    found = await provider.verifier(client_secret=SECRET).verify(form())

    assert isinstance(found, Identity)
    _, sent, headers = provider.asked[0]
    if methods == ["client_secret_post"]:
        assert (sent["client_secret"], headers) == (SECRET, {})
    else:
        assert "client_secret" not in sent
        assert headers == {"authorization": "Basic dGhlLWdhdGV3YXk6c2UlM0FjcmV0JTJGb2YrdGhlJTJCMQ=="}


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": None},
        {"provider": "another"},
        {"code": None},
        {"code_verifier": None},
        {"code_verifier": "short"},
        {"nonce": None},
        {"nonce": "n"},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1:5000@evil.example/callback"},
        {"redirect_uri": "http://localhost:5000/callback"},
    ],
)
async def test_a_request_that_is_not_bound_to_its_login_reaches_no_provider(
    provider: LoginProvider, changes: dict[str, Any]
) -> None:
    assert (await refused(provider, **changes)).error == "invalid_request"
    assert provider.asked == []


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"nonce": "m" * 32}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": 7}, "nonce"),
        ({"exp": NOW - 60}, "expired"),
        ({"exp": None}, "too little"),
        ({"iat": NOW + 60}, "invalid"),
        ({"iat": NOW - 3600}, "old"),
        ({"iat": None}, "old"),
        ({"nbf": NOW + 60}, "invalid"),
        ({"auth_time": NOW + 60}, "invalid"),
        ({"iss": "https://evil.example"}, "invalid"),
        ({"iss": ISSUER + "/"}, "invalid"),
        ({"aud": "another"}, "invalid"),
        ({"aud": []}, "invalid"),
        ({"aud": [CLIENT, "another"]}, "others"),
        ({"aud": [CLIENT, "another"], "azp": CLIENT}, "others"),
        ({"azp": "another"}, "others"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "access token"),
        ({"at_hash": 7}, "access token"),
        ({"sub": ""}, "too little"),
        ({"sub": None}, "too little"),
    ],
)
async def test_an_id_token_that_does_not_prove_this_login_gets_nothing(
    provider: LoginProvider, claims: dict[str, Any], word: str
) -> None:
    provider.claims = claims

    found = await refused(provider)

    assert (found.error, found.status) == ("invalid_grant", 400)
    assert word in found.description


@pytest.mark.parametrize(("key", "name"), [(rsa_key(), "sha256"), (ed_key(), "sha512")])
async def test_an_id_token_that_goes_with_its_access_token_is_good(key: Any, name: str) -> None:
    provider = LoginProvider(key=key)
    digest = hashlib.new(name, b"access").digest()
    provider.claims = {"at_hash": base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")}

    assert isinstance(await provider.verifier().verify(form()), Identity)


def unsigned(provider: LoginProvider) -> str:
    return jwt.encode(jwt.decode(provider.signed(), options={"verify_signature": False}), "", "none")


def of_a_public_key(provider: LoginProvider) -> str:
    return token({"iss": ISSUER, "sub": "ada"}, "k" * 40, "HS256", kid="first")


def of_another(provider: LoginProvider) -> str:
    return LoginProvider(key=rsa_key("second")).signed()


def altered(provider: LoginProvider) -> str:
    head, _, signature = provider.signed().split(".")
    provider.claims = {"sub": "eve"}
    return ".".join((head, provider.signed().split(".")[1], signature))


@pytest.mark.parametrize(
    "made", [unsigned, of_a_public_key, of_another, altered, lambda _: "no token", lambda _: "a.b.c"]
)
async def test_an_id_token_that_the_provider_did_not_sign_gets_nothing(provider: LoginProvider, made: Any) -> None:
    provider.id_token = made(provider)

    assert (await refused(provider)).error == "invalid_grant"


async def test_an_access_token_is_not_taken_for_an_id_token(provider: LoginProvider) -> None:
    provider.header = {"typ": "at+jwt"}

    assert "something else" in (await refused(provider)).description


async def test_the_metadata_of_another_issuer_is_not_believed(provider: LoginProvider) -> None:
    provider.metadata["issuer"] = "https://evil.example"

    assert (await refused(provider)).status == 503
    assert provider.asked == []


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "authorization_endpoint"])
async def test_a_provider_with_tls_leads_nowhere_without(provider: LoginProvider, name: str) -> None:
    provider.metadata[name] = "http://id.example/token"

    assert (await refused(provider)).status == 503
    assert provider.asked == []


async def test_a_provider_without_s256_is_not_used(provider: LoginProvider) -> None:
    provider.metadata["code_challenge_methods_supported"] = ["plain"]

    assert (await refused(provider)).status == 503


@pytest.mark.parametrize(("status", "answer"), [(400, 400), (401, 400), (302, 400), (500, 503), (429, 503)])
async def test_what_the_provider_refuses_is_refused_without_its_words(
    provider: LoginProvider, status: int, answer: int
) -> None:
    provider.status, provider.body = status, b'{"error": "invalid_grant", "error_description": "a secret"}'

    found = await refused(provider)

    assert found.status == answer
    assert "a secret" not in found.description


@pytest.mark.parametrize("body", [b"", b"{}", b"[" * 5000, b'{"id_token": 7}', b"\xff"])
async def test_an_answer_that_cannot_be_read_is_no_login(provider: LoginProvider, body: bytes) -> None:
    provider.body = body

    assert (await refused(provider)).error == "invalid_grant"


async def test_while_the_provider_is_away_the_client_is_told_to_come_back(provider: LoginProvider) -> None:
    provider.away = True

    found = await refused(provider)

    assert (found.error, found.status) == ("temporarily_unavailable", 503)


async def test_more_groups_than_a_token_holds_are_no_login_rather_than_fewer_groups(provider: LoginProvider) -> None:
    provider.claims = {"groups": [f"g{n}" for n in range(101)]}

    assert (await refused(provider)).error == "access_denied"


async def test_the_token_of_one_provider_proves_no_login_at_another(provider: LoginProvider) -> None:
    second = LoginProvider("https://other.example", rsa_key("second"))
    verifier = provider.verifier(second)
    second.id_token = provider.signed()

    own = await provider.verifier(second).verify(form())
    confused = await verifier.verify(form(provider="other"))
    second.id_token = None
    right = await verifier.verify(form(provider="other"))

    assert isinstance(own, Identity)
    assert isinstance(confused, OAuthError)
    assert isinstance(right, Identity)
    assert right.grant(()).subject == "other:ada"


async def test_everybody_may_know_the_providers_and_nobody_their_secrets(provider: LoginProvider) -> None:
    verifier = provider.verifier(client_secret=SECRET)
    office = OAuthOffice(VaultBox(None), verifier=verifier)

    page = await ask(office, "GET", "/auth/providers")

    assert verifier.offered == (Offered("corp", ISSUER, CLIENT, ("openid", "profile", "email")),)
    assert page.json["providers"][0]["issuer"] == ISSUER
    assert SECRET not in json.dumps(page.json)
    assert SECRET not in repr(provider.settings(client_secret=SECRET))


async def test_without_providers_the_list_of_them_is_empty() -> None:
    assert (await ask(OAuthOffice(VaultBox(None), logins=False), "GET", "/auth/providers")).json == {"providers": []}
