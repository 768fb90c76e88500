from typing import Any
from urllib.parse import urlencode

import jwt
import msgspec
import pytest

from actors.core.auth_settings import TokenSettings
from tests.support.asgi import ask
from tests.support.oauth_office import FORM, OAuthOffice
from tests.support.vault import URL, VaultBox, auth_settings


@pytest.fixture
def office() -> OAuthOffice:
    return OAuthOffice(VaultBox(None))


async def test_a_login_is_exchanged_for_tokens_of_the_gateways_own(office: OAuthOffice) -> None:
    answer = await office.log_in()

    assert answer.status == 200
    assert answer.header("cache-control") == "no-store"
    page = answer.json
    assert page["token_type"] == "Bearer"
    assert page["expires_in"] == 900
    assert page["scope"] == "mcp more"
    assert page["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    claims = jwt.decode(page["access_token"], options={"verify_signature": False})
    assert claims["sub"] == "corp:ada"
    assert claims["client_id"] == "gateway-at-corp"
    assert claims["groups"] == ["dev"]
    assert claims["auth_time"] == 1_799_999_000.0


async def test_the_published_keys_verify_them(office: OAuthOffice) -> None:
    token = (await office.log_in()).json["access_token"]

    keys = await ask(office, "GET", "/auth/jwks")

    assert keys.header("access-control-allow-origin") == "*"
    (key,) = keys.json["keys"]
    assert key["kid"] == jwt.get_unverified_header(token)["kid"]
    assert key.keys().isdisjoint({"d", "p", "q", "dp", "dq", "qi", "k"})
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    assert jwt.decode(token, jwt.PyJWK(key), [key["alg"]], options, audience=URL, issuer=URL)["sub"] == "corp:ada"


async def test_a_refresh_token_is_good_once(office: OAuthOffice) -> None:
    first = (await office.log_in()).json["refresh_token"]
    second = (await office.refresh(first)).json["refresh_token"]
    office.box.clock.advance(60.0)

    reused = await office.refresh(first)
    after = await office.refresh(second)

    assert (reused.status, reused.json["error"]) == (400, "invalid_grant")
    assert (after.status, after.json["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_a_token_that_is_given_back_ends_the_login(office: OAuthOffice, which: str) -> None:
    page = (await office.log_in()).json

    answer = await office.post("/auth/revoke", token=page[which])

    assert answer.status == 200
    assert (await office.refresh(page["refresh_token"])).json["error"] == "invalid_grant"


async def test_to_give_back_what_is_no_token_of_ours_is_well(office: OAuthOffice) -> None:
    assert (await office.post("/auth/revoke", token="whatever")).status == 200


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "o1r_x"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "o1r_x", "resource": "https://other"}, "invalid_target"),
    ],
)
async def test_what_cannot_be_granted_gets_the_error_of_the_specification(
    office: OAuthOffice, fields: dict[str, Any], error: str
) -> None:
    answer = await office.post("/auth/token", **fields)

    assert (answer.status, answer.json["error"]) == (400, error)
    assert answer.header("cache-control") == "no-store"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"subject_token": "bad:ada"}, "invalid_grant"),
        ({"subject_token": ""}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:access_token"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"scope": "mcp only1mcp:admin"}, "invalid_scope"),
        ({"audience": "https://elsewhere.example"}, "invalid_target"),
    ],
)
async def test_a_login_that_is_not_as_it_should_be_gets_nothing(
    office: OAuthOffice, fields: dict[str, Any], error: str
) -> None:
    answer = await office.log_in(**fields)

    assert (answer.status, answer.json["error"]) == (400, error)
    assert await office.vault.tokens() == ()


async def test_a_client_may_name_the_resource_and_want_less(office: OAuthOffice) -> None:
    answer = await office.log_in(resource=f"{URL}/mcp", scope="mcp")

    assert answer.json["scope"] == "mcp"


async def test_without_login_providers_nobody_logs_in() -> None:
    office = OAuthOffice(VaultBox(None), logins=False)

    assert (await office.log_in()).json["error"] == "unsupported_grant_type"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("content-type", "application/json")], b"{}"),
        ([], b"token=x"),
        ([FORM], b"token=x&token=y"),
        ([FORM], b"token"),
        ([FORM], b"\xff=x"),
        ([FORM], b"token=%ff"),
        ([FORM], urlencode({f"f{n}": "v" for n in range(40)}).encode()),
    ],
)
async def test_a_body_that_is_no_form_is_refused(office: OAuthOffice, headers: list[Any], body: bytes) -> None:
    answer = await ask(office, "POST", "/auth/revoke", headers, [body])

    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


async def test_a_body_has_a_limit_of_its_own(office: OAuthOffice) -> None:
    answer = await ask(office, "POST", "/auth/revoke", [FORM], [b"token=" + b"x" * 40_000])

    assert answer.status == 413


async def test_other_verbs_are_refused(office: OAuthOffice) -> None:
    got, posted = await ask(office, "GET", "/auth/token"), await office.post("/auth/jwks")

    assert (got.status, got.header("allow")) == (405, "POST")
    assert (posted.status, posted.header("allow")) == (405, "GET")


async def test_one_address_cannot_ask_without_end(office: OAuthOffice) -> None:
    statuses = [(await office.post("/auth/revoke", token="x")).status for _ in range(60)]
    again = await office.post("/auth/revoke", token="x")
    office.clock.advance(1.0)
    later = await office.post("/auth/revoke", token="x")

    assert statuses.count(200) == 50
    assert (again.status, again.header("retry-after")) == (429, "1")
    assert later.status == 200


async def test_while_the_vault_is_away_clients_are_asked_to_come_back(office: OAuthOffice) -> None:
    office.away = True

    answer = await office.refresh("o1r_x")

    assert (answer.status, answer.header("retry-after")) == (503, "2")


async def test_the_metadata_says_what_there_is_and_no_more(office: OAuthOffice) -> None:
    page = (await ask(office, "GET", "/.well-known/oauth-authorization-server")).json

    assert page["issuer"] == URL
    assert page["token_endpoint"] == f"{URL}/auth/token"
    assert page["response_types_supported"] == []
    assert "authorization_endpoint" not in page
    assert set(page["grant_types_supported"]) == {
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    }


def test_who_calls_the_issuer_otherwise_has_no_metadata_here() -> None:
    office = OAuthOffice(VaultBox(None, auth_settings(TokenSettings(issuer="https://issuer.example"))))

    assert office.endpoints.knows("/auth/jwks")
    assert not office.endpoints.knows("/.well-known/oauth-authorization-server")


async def test_no_answer_shows_an_earlier_credential(office: OAuthOffice) -> None:
    page = (await office.log_in()).json

    seen = [
        (await office.refresh("o1r_wrong")).body,
        (await ask(office, "GET", "/auth/jwks")).body,
        msgspec.json.encode(await office.vault.tokens()),
        repr(await office.vault.ledger()).encode(),
    ]

    for text in (page["access_token"], page["refresh_token"]):
        assert all(text.encode() not in each for each in seen)
