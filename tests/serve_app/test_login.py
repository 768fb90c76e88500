"""People who log in with a browser at a certified provider, and what happens to their logins."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from actors.core.principal import Refusal
from serve_app.login.fresh_token import LoginOver
from serve_app.login.gateway_door import DoorError
from serve_app.login.redirect import RedirectError
from tests.support.login_house import SECRET, LoginHouse, login_house
from tests.support.oidc_provider import Person, oidc_provider

VERIFIER = "v" * 43
CHALLENGE = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"
NONCE = "n" * 32
REDIRECT = "http://127.0.0.1:5000/callback"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider() as found:
        yield found


@pytest.fixture
async def house(issuer: str, tmp_path: Path) -> AsyncIterator[LoginHouse]:
    async with login_house(issuer, tmp_path / "logins") as found:
        yield found


def answer_of(url: str, name: str = "ada") -> str:
    """Where the provider sends the browser of somebody who has logged in, without going there."""
    person = Person(name)
    person.browse(url, until=redirect_of(url))
    return person.seen[-1]


def redirect_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["redirect_uri"][0]


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=30)


async def code_for(issuer: str, **changes: str) -> str:
    """A code that somebody got hold of."""
    query = {
        "client_id": "public",
        "response_type": "code",
        "scope": "openid",
        "redirect_uri": REDIRECT,
        "state": "state",
        "nonce": NONCE,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    url = await asyncio.to_thread(answer_of, f"{issuer}/auth?{urlencode(query)}")
    return parse_qs(urlsplit(url).query)["code"][0]


def grant(code: str, **changes: str) -> dict[str, str]:
    right = {"code": code, "code_verifier": VERIFIER, "nonce": NONCE, "redirect_uri": REDIRECT, "provider": "public"}
    return {"grant_type": "authorization_code", **right, **changes}


@pytest.mark.parametrize("provider", ["public", "confidential"])
async def test_a_person_logs_in_and_is_known_with_their_groups(house: LoginHouse, provider: str) -> None:
    kept = await house.enter("ada", provider)

    principal = (await house.verdict(kept.access)).principal
    assert principal is not None
    assert principal.subject == kept.subject == f"{provider}:ada"
    assert principal.groups == ("developers", "staff")
    assert principal.client == provider
    assert principal.auth_time is not None
    assert house.path.stat().st_mode & 0o777 == 0o600
    assert house.folder.stat().st_mode & 0o777 == 0o700
    assert f"{provider}:ada is logged in" in house.out.getvalue()
    for credential in (kept.access, kept.refresh, SECRET):
        assert credential not in house.out.getvalue() + house.err.getvalue() + repr(kept)


async def test_several_providers_want_a_choice(house: LoginHouse) -> None:
    with pytest.raises(DoorError, match="public, confidential"):
        await house.log_in(Person("ada").browse, None)
    with pytest.raises(DoorError, match="no such provider"):
        await house.log_in(Person("ada").browse, "elsewhere")


async def test_a_token_is_renewed_before_it_expires_and_by_one_of_many(house: LoginHouse) -> None:
    kept = await house.enter("ada")
    assert await house.token() == kept.access
    house.box.clock.advance(850.0)
    before = house.asked.count("/auth/token")

    found = set(await asyncio.gather(*(house.token() for _ in range(4))))

    assert len(found) == 1
    assert found != {kept.access}
    assert house.asked.count("/auth/token") == before + 1
    (token,) = found
    assert token is not None
    assert (await house.verdict(token)).principal is not None


async def test_a_stolen_refresh_token_that_is_used_again_ends_the_login(house: LoginHouse) -> None:
    stolen = (await house.enter("ada")).refresh
    house.box.clock.advance(850.0)
    await house.token()
    house.box.clock.advance(60.0)

    reused = await house.post(grant_type="refresh_token", refresh_token=stolen)

    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    house.box.clock.advance(850.0)
    with pytest.raises(LoginOver):
        await house.token()
    assert house.kept is None


async def test_who_logs_out_is_out_everywhere(house: LoginHouse) -> None:
    kept = await house.enter("ada")
    principal = (await house.verdict(kept.access)).principal
    assert principal is not None

    await house.leave()

    assert house.kept is None
    assert (await house.post(grant_type="refresh_token", refresh_token=kept.refresh)).status_code == 400
    assert house.box.router.heard.covers(principal)
    await house.leave()
    assert "nobody is logged in" in house.out.getvalue()


async def test_who_logs_in_anew_ends_the_login_before(house: LoginHouse) -> None:
    first = await house.enter("ada")
    second = await house.enter("eve")

    assert second.subject == "public:eve"
    assert (await house.post(grant_type="refresh_token", refresh_token=first.refresh)).status_code == 400
    assert await house.token() == second.access


async def test_an_answer_with_another_state_is_no_answer(house: LoginHouse) -> None:
    strange: list[int] = []

    def browse(url: str) -> None:
        right = answer_of(url)
        code = parse_qs(urlsplit(right).query)["code"][0]
        queries = ({"code": code, "state": "another"}, {"code": code}, {"error": "access_denied", "state": ""})
        strange.extend(get(f"{redirect_of(url)}?{urlencode(query)}").status_code for query in queries)
        get(right)

    await house.log_in(browse)

    assert strange == [400, 400, 400]
    assert house.kept is not None


@pytest.mark.parametrize("iss", ["https://evil.example", None])
async def test_an_answer_from_another_provider_is_not_exchanged(house: LoginHouse, iss: str | None) -> None:
    def browse(url: str) -> None:
        said = {name: values[0] for name, values in parse_qs(urlsplit(answer_of(url)).query).items()}
        said.pop("iss")
        get(f"{redirect_of(url)}?{urlencode(said if iss is None else {**said, 'iss': iss})}")

    with pytest.raises(RedirectError, match="not from the provider"):
        await house.log_in(browse)

    assert house.kept is None
    assert "/auth/token" not in house.asked


async def test_a_person_whom_the_provider_refuses_is_not_logged_in(house: LoginHouse) -> None:
    def browse(url: str) -> None:
        Person("ada").browse(url.replace("code_challenge", "no_challenge"))

    with pytest.raises(RedirectError, match="invalid_request"):
        await house.log_in(browse)

    assert house.kept is None


async def test_a_code_is_good_once(house: LoginHouse, issuer: str) -> None:
    form = grant(await code_for(issuer))

    first, second = await house.post(**form), await house.post(**form)

    assert first.status_code == 200
    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43},
        {"nonce": "m" * 32},
        {"redirect_uri": "http://127.0.0.1:5001/callback"},
        {"provider": "confidential"},
    ],
)
async def test_a_code_is_worth_nothing_to_who_did_not_begin_the_login(
    house: LoginHouse, issuer: str, changes: dict[str, str]
) -> None:
    answer = await house.post(**grant(await code_for(issuer), **changes))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert await house.office.vault.tokens() == ()


async def test_an_expired_token_lets_nobody_in(house: LoginHouse) -> None:
    kept = await house.enter("ada")
    house.box.clock.advance(1000.0)

    assert (await house.verdict(kept.access)).refusal is Refusal.EXPIRED
