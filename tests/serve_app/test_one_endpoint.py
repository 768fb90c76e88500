"""Tokens for one endpoint: from the one who asks for one to the door, which lets it in there and nowhere else."""

from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.audience import Audience, endpoint_at
from actors.core.auth_settings import AuthSettings
from actors.core.principal import Kind, Principal, Verdict
from actors.core.tokens.grant import Grant
from actors.core.tokens.issued import Declined, No, Shown
from serve_app.auth import Auth
from serve_app.authentication import Authentication
from serve_app.denial import ELSEWHERE
from serve_app.own_tokens import OwnTokens
from tests.support.admin_office import Office
from tests.support.asgi import ask
from tests.support.channel_clients import WsWire
from tests.support.hand_clock import HandClock
from tests.support.house import Plan, Replica, doorway
from tests.support.oauth_office import OAuthOffice
from tests.support.posts import LegacyClient, ModernClient
from tests.support.tokens import claims, issuer, key_file, pem, rsa_key, token
from tests.support.vault import URL, VaultBox

WHOLE = Audience(URL, URL)
GIT = f"{URL}/servers/git/mcp"
HOST = ("host", "127.0.0.1:8080")


# --- what a token is for ---


@pytest.mark.parametrize(
    ("named", "endpoints"),
    [
        ([URL], ()),
        ([f"{URL}/", GIT], ()),
        ([GIT], ("git",)),
        ([f"{URL}/servers/git/ws", GIT, "https://other.example"], ("git",)),
        ([f"{URL}/servers/web/sse", GIT], ("git", "web")),
        ([f"{URL}/mcp"], ("",)),
        ([f"{URL}/mcp/", GIT], ("", "git")),
    ],
)
def test_a_token_is_for_the_endpoints_that_it_names_or_for_everything(
    named: list[str], endpoints: tuple[str, ...]
) -> None:
    assert WHOLE.admits(named)
    assert WHOLE.endpoints(named) == endpoints


def test_whoever_names_an_endpoint_as_the_audience_of_an_issuer_trusts_its_tokens_everywhere() -> None:
    audience = Audience(f"{URL}/mcp", URL)

    assert audience.endpoints([f"{URL}/mcp"]) == ()
    assert not audience.admits([GIT])


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/mcp", ""),
        ("/mcp/", ""),
        ("/messages", ""),
        ("/ws", ""),
        ("/servers/git/mcp", "git"),
        ("/servers/git/messages", "git"),
        ("/servers/git/sse/", "git"),
        ("/servers/git", None),
        ("/servers//mcp", None),
        ("/servers/a/b/mcp", None),
        ("/metrics", None),
        ("/api/v1/admin/servers", None),
        ("/mcp/more", None),
        ("", None),
    ],
)
def test_a_path_is_that_of_one_endpoint_or_of_none(path: str, endpoint: str | None) -> None:
    assert endpoint_at(path) == endpoint


async def test_what_an_issuer_says_a_token_is_for_is_kept_with_whom_it_is_about(tmp_path: Path) -> None:
    clock = HandClock()
    trusted = issuer(audience=URL, key_file=key_file(tmp_path, pem(rsa_key())))
    auth = Auth(AuthSettings(issuers=(trusted,), public_url=URL), clock)

    async def endpoints(audience: Any) -> tuple[str, ...]:
        found = (await auth.verify(token(claims(clock.now, aud=audience), rsa_key()))).principal
        assert found is not None
        return found.endpoints

    assert await endpoints(GIT) == ("git",)
    assert await endpoints([URL, GIT]) == ()
    assert await endpoints(f"{URL}/mcp") == ("",)


# --- at the door ---


async def verify(credential: str) -> Verdict:
    """Believes what a credential says: the endpoints it is for, with commas between them."""
    endpoints = () if credential == "all" else tuple(credential.removeprefix("at:").split(","))
    return Verdict(Principal("ada", "https://id", Kind.TOKEN, endpoints=endpoints), None, 60.0)


AUTH = AuthSettings(issuers=(issuer(jwks_url="https://id.example/jwks"),), public_url=URL)


def bearer(credential: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {credential}")


@pytest.mark.parametrize(
    ("credential", "path", "status"),
    [
        ("at:git", "/servers/git/mcp", 200),
        ("at:git", "/servers/web/mcp", 401),
        ("at:git", "/servers/nobody/mcp", 401),
        ("at:git", "/mcp", 401),
        ("at:", "/mcp", 200),
        ("at:", "/servers/git/mcp", 401),
        ("at:git,web", "/servers/web/mcp", 200),
        ("all", "/servers/web/mcp", 200),
        ("all", "/mcp", 200),
    ],
)
async def test_a_token_for_one_endpoint_is_good_there_and_nowhere_else(credential: str, path: str, status: int) -> None:
    async with doorway(Replica("git"), Replica("web"), plan=Plan(verify=verify, auth=AUTH)) as gateway:
        listed = await ModernClient(gateway, path, headers=[bearer(credential)]).ask("tools/list")
        opened = await LegacyClient(gateway, path, headers=[bearer(credential)]).initialize()

    assert (listed.status, opened.status) == (status, status)
    if status == 401:
        (told,) = [value for name, value in listed.headers if name == "www-authenticate" and value.startswith("Bearer")]
        assert 'error="invalid_token"' in told
        assert f'resource_metadata="{URL}/.well-known/oauth-protected-resource{path}"' in told


@pytest.mark.parametrize("path", ["/metrics", "/sse", "/messages?session=x", "/servers/web/sse", "/nowhere"])
async def test_no_other_path_takes_it(path: str) -> None:
    async with doorway(Replica("git"), Replica("web"), plan=Plan(verify=verify)) as gateway:
        answered = await ask(gateway, "GET", path, [HOST, bearer("at:git")])

    assert answered.status == 401


async def test_a_websocket_is_taken_at_its_endpoint_and_kept() -> None:
    async with doorway(Replica("git"), Replica("web"), plan=Plan(verify=verify)) as gateway:
        wires = [WsWire(gateway, path, headers=[bearer("at:git")]) for path in ("/servers/git", "/servers/web", "")]
        for wire in wires:
            await wire.open()
        kept = await gateway.ingress._recognition({**wires[0].scope, "client": ("127.0.0.1", 1)})()
        await wires[0].leave()

    assert [bool(wire.accepted) for wire in wires] == [True, False, False]
    assert not hasattr(kept, "status")


async def test_it_does_not_open_the_admin_api_whatever_its_holder_may() -> None:
    async def admin(credential: str) -> Verdict:
        endpoints = ("git",) if credential == "git" else ()
        principal = Principal("ada", "https://id", Kind.TOKEN, ("only1mcp:admin",), endpoints=endpoints)
        return Verdict(principal, None, 60.0)

    office = Office(verify=admin)

    assert (await office.ask("GET", "/servers", credential="all")).status == 200
    assert (await office.ask("GET", "/servers", credential="git")).status == 401


async def test_the_order_of_requests_changes_nothing_although_the_verdict_is_remembered() -> None:
    asked = []

    async def counting(credential: str) -> Verdict:
        asked.append(credential)
        return await verify(credential)

    async with doorway(Replica("git"), plan=Plan(verify=counting)) as gateway:
        git, whole = (ModernClient(gateway, path, headers=[bearer("at:git")]) for path in ("/servers/git/mcp", "/mcp"))
        statuses = [(await client.ask("tools/list")).status for client in (whole, git, whole, git)]

    assert statuses == [401, 200, 401, 200]
    assert asked == ["at:git"]


names = st.text("abc.-_~", min_size=1, max_size=3)


@given(
    endpoints=st.sets(st.one_of(st.just(""), names), min_size=1, max_size=3),
    asked=st.one_of(st.just(""), names),
    last=st.sampled_from(["mcp", "sse", "messages", "ws", "mcp/", "", "other"]),
)
async def test_no_request_is_let_in_but_to_the_endpoints_of_its_token(
    endpoints: set[str], asked: str, last: str
) -> None:
    async def restricted(_credential: str) -> Verdict:
        return Verdict(Principal("ada", "", Kind.TOKEN, endpoints=tuple(sorted(endpoints))), None, 60.0)

    path = f"/servers/{asked}/{last}" if asked else f"/{last}"
    headers = [(b"authorization", b"Bearer x")]
    found = await Authentication(restricted).check(headers, {"path": path, "headers": headers, "method": "GET"})

    is_there = asked in endpoints and last not in ("", "other")
    assert isinstance(found, Principal) is is_there
    assert is_there or found == ELSEWHERE


async def test_without_a_request_nobody_knows_whether_it_is_good_there() -> None:
    authentication = Authentication(verify)

    assert await authentication.check([(b"authorization", b"Bearer at:git")]) == ELSEWHERE
    assert isinstance(await authentication.check([(b"authorization", b"Bearer all")]), Principal)


# --- where the gateway's own come from ---


async def endpoints_of(box: VaultBox, text: str) -> tuple[str, ...]:
    """Where a token of the gateway's own is good, as Auth has it."""
    vault = box.start(watch_seconds=0.02)
    auth = Auth(box.auth, box.clock, own=OwnTokens(box.own, lambda: vault, first_seconds=30.0))
    principal = (await auth.verify(text)).principal
    assert principal is not None
    return principal.endpoints


async def test_a_service_can_have_a_token_for_one_server(tmp_path: Path) -> None:
    box = VaultBox(tmp_path / "vault")
    office = Office(vault=box.start())

    made = await office.ask("POST", "/tokens", {"subject": "ci", "server": "git"})
    refused = await office.ask("POST", "/tokens", {"subject": "ci", "server": "a/b"})
    (listed,) = (await office.ask("GET", "/tokens")).json["tokens"]

    assert jwt.decode(made.json["token"], options={"verify_signature": False})["aud"] == GIT
    assert (made.json["resource"], listed["resource"]) == ("/servers/git/mcp", "/servers/git/mcp")
    assert refused.status == 422
    assert await endpoints_of(box, made.json["token"]) == ("git",)


async def test_a_token_of_a_service_is_listed_as_revoked_also_if_it_is_for_one_server() -> None:
    vault = VaultBox(None).start()
    shown = await vault.issue(Grant("ci", "ci", resource="/servers/git/mcp"), 60.0)
    assert isinstance(shown, Shown)
    assert await vault.end_token((await vault.tokens())[0].id) is None

    assert [entry.revoked for entry in await vault.tokens()] == [True]


@pytest.mark.parametrize("resource", ["/metrics", "/servers/git", "mcp", "/servers/a b/mcp", "https://x"])
async def test_nothing_is_issued_for_what_is_no_endpoint(resource: str) -> None:
    declined = await VaultBox(None).start().issue(Grant("ci", "ci", resource=resource), 60.0)

    assert isinstance(declined, Declined)
    assert declined.no is No.WRONG


async def test_who_logs_in_may_name_the_endpoint(tmp_path: Path) -> None:
    box = VaultBox(tmp_path / "vault")
    office = OAuthOffice(box)

    page = (await office.log_in(resource=GIT)).json
    refreshed = (await office.refresh(page["refresh_token"])).json
    whole = (await office.log_in(resource=f"{URL}/")).json

    assert await endpoints_of(box, page["access_token"]) == ("git",)
    assert await endpoints_of(box, refreshed["access_token"]) == ("git",)
    assert await endpoints_of(box, whole["access_token"]) == ()


async def test_a_refresh_may_ask_for_less_and_never_for_more(tmp_path: Path) -> None:
    box = VaultBox(tmp_path / "vault")
    office = OAuthOffice(box)
    whole = (await office.log_in()).json
    git = (await office.log_in(resource=GIT)).json

    less = (await office.refresh(whole["refresh_token"], resource=GIT)).json
    again = (await office.refresh(less["refresh_token"])).json
    refused = [await office.refresh(git["refresh_token"], resource=other) for other in (URL, f"{URL}/servers/web/mcp")]
    same = await office.refresh(git["refresh_token"], resource=f"{URL}/servers/git/sse")

    assert await endpoints_of(box, less["access_token"]) == ("git",)
    assert await endpoints_of(box, again["access_token"]) == ()
    assert [(answer.status, answer.json["error"]) for answer in refused] == [(400, "invalid_target")] * 2
    assert same.status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"resource": GIT, "audience": URL},
        {"resource": "https://other.example"},
        {"audience": f"{URL}/metrics"},
    ],
)
async def test_a_login_for_two_things_at_once_or_for_another_is_refused(fields: dict[str, str]) -> None:
    refused = await OAuthOffice(VaultBox(None)).log_in(**fields)

    assert (refused.status, refused.json["error"]) == (400, "invalid_target")
