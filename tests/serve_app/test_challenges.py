"""What a client that is not let in is told about what would let it in, and what anybody is told of the resource."""

from collections.abc import Mapping
from typing import Any

import pytest
from httpx2 import Response
from mcp.client.auth.utils import extract_field_from_www_auth, extract_resource_metadata_from_www_auth
from mcp.shared.auth import ProtectedResourceMetadata

from actors.core.api_key import hash_of
from actors.core.auth_settings import ApiKeySettings, AuthSettings, TokenSettings
from actors.core.policy_settings import AssignmentSettings, PolicySettings
from actors.core.principal import Kind, Principal, Refusal, Verdict
from actors.core.settings import ServerSettings
from serve_app.challenges import Challenges
from serve_app.denial import challenging
from serve_app.own_url import OwnUrl
from tests.support.asgi import Conversation, ask
from tests.support.house import Plan, Replica, doorway
from tests.support.posts import ModernClient
from tests.support.tokens import ISSUER, issuer

PUBLIC = "https://gw.example"
TOKENS = AuthSettings(issuers=(issuer(jwks_url=f"{ISSUER}/jwks"),), public_url=PUBLIC, scopes=("mcp:use", "mcp:read"))
KEYS = AuthSettings(api_keys=(ApiKeySettings(name="ci", hash=hash_of("k")),))
ALGORITHMS = 'algs="ES256 EdDSA RS256"'
NEEDED = 'scope="mcp:use mcp:read"'


def where(path: str = "", origin: str = PUBLIC) -> str:
    return f'resource_metadata="{origin}/.well-known/oauth-protected-resource{path}"'


async def verify(credential: str) -> Verdict:
    """Knows tokens and a key by name; `bound` is bound to a key."""
    if credential == "expired":
        return Verdict(None, Refusal.EXPIRED, 10.0)
    kind = Kind.KEY if credential == "key" else Kind.TOKEN
    scopes = {"weak": ("mcp:read",), "strong": ("mcp:read", "more", "mcp:use")}.get(credential, ())
    if credential not in ("key", "weak", "strong", "bound"):
        return Verdict(None, Refusal.UNKNOWN, 10.0)
    return Verdict(Principal("alice", ISSUER, kind, scopes, key_thumbprint="x" * (credential == "bound")), None, 60.0)


async def knock(
    path: str = "/mcp", headers: Mapping[str, str] | None = None, auth: AuthSettings = TOKENS, method: str = "POST"
) -> Conversation:
    async with doorway(Replica(), plan=Plan(verify=verify, auth=auth)) as gateway:
        return await ask(gateway, method, path, list((headers or {}).items()), [b"{}"])


def challenges_of(answered: Conversation) -> list[str]:
    return [value for name, value in answered.headers if name == "www-authenticate"]


async def test_who_has_no_credential_learns_where_to_get_a_token_and_for_what() -> None:
    answered = await knock()

    assert answered.status == 401
    assert challenges_of(answered) == [
        f"Bearer {NEEDED}, {where('/mcp')}",
        f"DPoP {NEEDED}, {where('/mcp')}, {ALGORITHMS}",
    ]


@pytest.mark.parametrize(
    ("path", "known_as"),
    [
        ("/mcp", "/mcp"),
        ("/mcp/", "/mcp"),
        ("/sse", "/sse"),
        ("/servers/git/mcp", "/servers/git/mcp"),
        ("/servers/none/mcp", "/servers/none/mcp"),
        ("/messages", ""),
        ("/metrics", ""),
        ("/nothing", ""),
        ('/servers/a"b/mcp', ""),
    ],
)
async def test_the_metadata_is_that_of_the_endpoint_whether_or_not_there_is_one(path: str, known_as: str) -> None:
    first = challenges_of(await knock(path))[0]

    assert first.endswith(where(known_as))
    assert (NEEDED in first) == bool(known_as)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"authorization": "Bearer guess"}, 'error="invalid_token", '),
        ({"x-api-key": "guess"}, 'error="invalid_token", '),
        (
            {"authorization": "Bearer expired"},
            'error="invalid_token", error_description="the token has expired", ',
        ),
        ({"authorization": "Basic Zm9vOmJhcg=="}, ""),
    ],
)
async def test_the_error_is_said_of_the_scheme_that_was_used(headers: dict[str, str], error: str) -> None:
    answered = await knock(headers=headers)

    assert answered.status == 401
    assert challenges_of(answered) == [
        f"Bearer {error}{NEEDED}, {where('/mcp')}",
        f"DPoP {NEEDED}, {where('/mcp')}, {ALGORITHMS}",
    ]


async def test_a_token_that_is_bound_to_a_key_is_worth_nothing_as_a_bearer_token() -> None:
    answered = await knock(headers={"authorization": "Bearer bound"})

    assert answered.status == 401
    assert challenges_of(answered)[1].startswith('DPoP error="invalid_token", ')


async def test_the_official_client_finds_in_the_challenges_what_it_looks_for() -> None:
    strange, weak = await knock(), await knock(headers={"authorization": "Bearer weak"})
    unknown, lacking = (Response(each.status, headers=each.headers) for each in (strange, weak))

    assert extract_resource_metadata_from_www_auth(unknown) == f"{PUBLIC}/.well-known/oauth-protected-resource/mcp"
    assert extract_field_from_www_auth(lacking, "error") == "insufficient_scope"
    assert extract_field_from_www_auth(lacking, "scope") == "mcp:use mcp:read"


@pytest.mark.parametrize("path", ["/mcp", "/servers/git/mcp", "/sse", "/messages"])
async def test_a_token_without_the_scopes_is_told_which_ones(path: str) -> None:
    answered = await knock(path, {"authorization": "Bearer weak"})

    assert answered.status == 403
    metadata = where("" if path == "/messages" else path)
    assert challenges_of(answered) == [f'Bearer error="insufficient_scope", {NEEDED}, {metadata}']


@pytest.mark.parametrize("headers", [{"authorization": "Bearer strong"}, {"x-api-key": "key"}])
async def test_a_token_with_the_scopes_and_any_key_come_in(headers: dict[str, str]) -> None:
    async with doorway(Replica(), plan=Plan(verify=verify, auth=TOKENS)) as gateway:
        answered = await ModernClient(gateway).call("git__echo", headers=headers)

    assert answered.status == 200


async def test_metrics_need_no_scope_of_mcp() -> None:
    assert (await knock("/metrics", {"authorization": "Bearer weak"}, method="GET")).status == 200


async def test_whoever_has_only_keys_sends_nobody_to_look_for_tokens() -> None:
    answered = await knock(auth=KEYS)
    page = await knock("/.well-known/oauth-protected-resource/mcp", auth=KEYS, method="GET")

    assert challenges_of(answered) == ["Bearer"]
    assert page.status == 401


async def test_without_a_public_url_the_gateway_is_where_the_client_found_it() -> None:
    auth = AuthSettings(issuers=TOKENS.issuers)

    answered = await knock(headers={"host": "LocalHost:8080"}, auth=auth)

    assert challenges_of(answered)[0] == f"Bearer {where('/mcp', 'http://localhost:8080')}"


@pytest.mark.parametrize("host", ['a"b', "a b", "a\r\nx: y", "a/b", "a@b", "", "é", "a, b"])
def test_a_host_that_is_none_is_repeated_nowhere(host: str) -> None:
    challenges = Challenges(AuthSettings(issuers=TOKENS.issuers), OwnUrl(None))
    scope = {"path": "/mcp", "headers": [(b"host", host.encode("latin-1"))]}

    told = challenges.on(challenging(401, "why"), scope)

    assert dict(told.headers)[b"www-authenticate"] == f"DPoP {ALGORITHMS}".encode()
    assert told.headers[0] == (b"www-authenticate", b"Bearer")


def test_what_a_challenge_says_is_quoted() -> None:
    told = challenging(401, "why", ("error_description", 'say "\\" twice'))

    assert told.headers == ((b"www-authenticate", b'Bearer error_description="say \\"\\\\\\" twice"'),)


@pytest.mark.parametrize("path", ["", "/mcp", "/sse", "/ws", "/servers/git/mcp", "/servers/nobody-knows/mcp"])
async def test_the_metadata_is_for_anybody_and_names_the_endpoint_it_is_about(path: str) -> None:
    answered = await knock(f"/.well-known/oauth-protected-resource{path}", method="GET")

    assert answered.status == 200
    assert answered.json == {
        "resource": f"{PUBLIC}{path}",
        "resource_name": "only1mcp",
        "authorization_servers": [ISSUER],
        "scopes_supported": ["mcp:use", "mcp:read"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "RS256"],
    }
    assert ProtectedResourceMetadata.model_validate(answered.json)
    assert answered.header("cache-control") == "no-store"


@pytest.mark.parametrize("path", ["/other", "x", "/mcp/x", "/servers/a/b/mcp", "/servers//mcp"])
async def test_there_is_no_metadata_of_what_cannot_be_an_endpoint(path: str) -> None:
    assert (await knock(f"/.well-known/oauth-protected-resource{path}", method="GET")).status == 401


async def test_pages_of_origins_that_may_come_in_can_read_challenges_and_metadata() -> None:
    page = {"origin": "http://localhost:3000"}

    refused = await knock(headers=page)
    answered = await knock("/.well-known/oauth-protected-resource/mcp", page, method="GET")

    assert (refused.status, answered.status) == (401, 200)
    assert "WWW-Authenticate" in str(refused.header("access-control-expose-headers"))
    assert answered.header("access-control-allow-origin") == page["origin"]


async def test_the_metadata_is_only_read() -> None:
    posted = await knock("/.well-known/oauth-protected-resource", method="POST")
    head = await knock("/.well-known/oauth-protected-resource", method="HEAD")

    assert (posted.status, posted.header("allow")) == (405, "GET, HEAD")
    assert (head.status, head.body) == (200, b"")


async def test_issuers_that_are_no_urls_and_the_gateway_itself_are_no_authorization_servers() -> None:
    auth = AuthSettings(
        issuers=(issuer(issuer="name", jwks_url="https://x/jwks"),), tokens=TokenSettings(), public_url=PUBLIC
    )

    answered = await knock(auth=auth)
    page = await knock("/.well-known/oauth-protected-resource", auth=auth, method="GET")

    assert challenges_of(answered) == ["Bearer", f"DPoP {ALGORITHMS}"]
    assert page.status == 401


async def test_the_guard_comes_before_the_metadata() -> None:
    evil = {"host": "evil.example"}

    assert (await knock("/.well-known/oauth-protected-resource", evil, method="GET")).status == 403


async def test_nobody_learns_from_the_challenge_what_a_policy_hides() -> None:
    policy = PolicySettings(assignments=(AssignmentSettings(role="viewer", subjects=("nobody",)),))
    plan = Plan(verify=verify, auth=TOKENS, policy=policy, server=ServerSettings())
    answers: list[Any] = []
    async with doorway(Replica(), plan=plan) as gateway:
        for name in ("git", "none"):
            answered = await ask(gateway, "POST", f"/servers/{name}/mcp", [("authorization", "Bearer strong")], [b"{}"])
            answers.append((answered.status, answered.headers, answered.body))

    assert answers[0] == answers[1]
    assert answers[0][0] == 404
