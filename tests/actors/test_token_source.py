"""Tokens are asked for once, renewed in time, and let go of when they are refused."""

import asyncio
import base64

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from structlog.testing import capture_logs

from actors.core.credential_settings import CredentialKind, CredentialSettings
from actors.core.principal import Kind, Principal
from actors.core.url_guard import UrlGuard
from actors.credentials.discovery import Discovery
from actors.credentials.fetching import GuardedFetch
from actors.credentials.kept_tokens import PAUSE_SECONDS
from actors.credentials.token_endpoint import TokenEndpoint
from actors.credentials.token_source import TokenSource
from actors.transports.authorization import CredentialError
from tests.support.hand_clock import HandClock
from tests.support.token_world import TokenWorld, token_world

ADA = Principal(subject="ada", issuer="https://gw.example", kind=Kind.TOKEN).key


class Statements:
    """Stands where the Vault would."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...], str]] = []

    async def statement(self, principal: str, issuers: tuple[str, ...], audience: str) -> str:
        self.asked.append((principal, issuers, audience))
        return f"statement of {principal}"


def source_to(
    world: TokenWorld, settings: CredentialSettings, clock: HandClock, subjects: Statements | None = None
) -> TokenSource:
    urls = [url for url in (world.url, settings.token_url, settings.issuer) if url is not None]
    fetch = GuardedFetch(UrlGuard(urls))
    endpoint = TokenEndpoint(settings, fetch, backend="git")
    discovery = Discovery(settings, world.url, fetch)
    return TokenSource(settings, discovery, endpoint, subjects, backend="git", clock=clock, dice=lambda: 0.0)


async def test_a_hundred_callers_at_once_cost_one_request_and_further_ones_none() -> None:
    async with token_world() as world:
        source = source_to(world, world.settings(scopes=("a", "b")), HandClock())

        tokens = await asyncio.gather(*(source.token("") for _ in range(100)))
        again = await source.token("")

    assert {*tokens, again} == {"token-1"}
    form, authorization = world.asked[0]
    assert form == {"grant_type": "client_credentials", "scope": "a b", "resource": world.url}
    assert authorization == f"Basic {base64.b64encode(b'gw:s3cret').decode()}"


async def test_a_token_is_renewed_before_its_end_and_nobody_waits_for_that() -> None:
    async with token_world() as world:
        clock = HandClock()
        world.seconds = 100
        source = source_to(world, world.settings(), clock)
        await source.token("")

        clock.advance(89)
        before = await source.token("")
        clock.advance(2)
        meanwhile = await source.token("")
        await asyncio.gather(*source._tokens._asking.values())
        after = await source.token("")

    assert (before, meanwhile, after) == ("token-1", "token-1", "token-2")


async def test_while_no_new_token_is_to_be_had_the_old_one_is_used_to_its_end() -> None:
    async with token_world() as world:
        clock = HandClock()
        world.seconds = 100
        source = source_to(world, world.settings(), clock)
        await source.token("")
        world.token_status = 500

        clock.advance(91)
        for _ in range(3):
            assert await source.token("") == "token-1"
            await asyncio.gather(*source._tokens._asking.values(), return_exceptions=True)
        asked = len(world.asked)
        clock.advance(10)
        with pytest.raises(CredentialError, match="refused the gateway"):
            await source.token("")

    assert asked == 2


async def test_after_a_failure_there_is_a_pause_and_the_reason_holds_no_secret() -> None:
    async with token_world() as world:
        clock = HandClock()
        source = source_to(world, world.settings(), clock)
        world.token_status = 401

        with capture_logs() as logs:
            for _ in range(3):
                with pytest.raises(CredentialError) as raised:
                    await source.token("")
        asked = len(world.asked)
        world.token_status = 200
        clock.advance(PAUSE_SECONDS)
        token = await source.token("")

    assert str(raised.value) == "its token endpoint refused the gateway (401, invalid_client)"
    assert asked == 1
    assert token == "token-2"
    assert "s3cret" not in str(logs)


async def test_the_server_and_its_authorization_server_say_where_tokens_are() -> None:
    async with token_world() as world:
        world.resource = {"scopes_supported": ["read"]}
        source = source_to(world, world.settings(issuer=world.origin), HandClock())

        token = await source.token("")

    assert token == "token-1"
    assert world.asked[0][0]["scope"] == "read"
    assert world.fetched == [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
    ]


async def test_a_secret_goes_into_the_form_where_a_header_is_not_taken() -> None:
    async with token_world() as world:
        world.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
        source = source_to(world, world.settings(issuer=world.origin), HandClock())

        await source.token("")

    form, authorization = world.asked[0]
    assert (form["client_id"], form["client_secret"], authorization) == ("gw", "s3cret", "")


async def test_a_client_may_prove_itself_by_a_signature_for_one_issuer() -> None:
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with token_world() as world:
        settings = world.settings(client_secret=None, private_key=pem, key_id="k1")
        source = source_to(world, settings, HandClock())

        await source.token("")

    form = world.asked[0][0]
    signed = form["client_assertion"]
    claims = jwt.decode(signed, key.public_key(), ["ES256"], audience=world.origin)
    assert (claims["iss"], claims["sub"]) == ("gw", "gw")
    assert claims["exp"] - claims["iat"] == 60
    assert jwt.get_unverified_header(signed)["kid"] == "k1"
    assert "client_secret" not in form


@pytest.mark.parametrize(
    ("resource", "metadata", "reason"),
    [
        ({"authorization_servers": ["https://evil.example"]}, {}, "other authorization servers than the configured"),
        ({"resource": "https://other.example/mcp"}, {}, "about another resource"),
        ({}, {"issuer": "https://evil.example"}, "of another issuer"),
        ({}, {"token_endpoint": "http://169.254.169.254/token"}, "it is not https"),
        ({}, {"token_endpoint": "https://169.254.169.254/token"}, "not public"),
        ({}, {"token_endpoint": "https://10.0.0.1/token"}, "not public"),
    ],
)
async def test_nobody_can_lead_the_secret_elsewhere(
    resource: dict[str, object], metadata: dict[str, object], reason: str
) -> None:
    async with token_world() as world:
        world.resource, world.metadata = resource, metadata
        source = source_to(world, world.settings(issuer=world.origin), HandClock())

        with pytest.raises(CredentialError, match=reason):
            await source.token("")

    assert world.asked == []


async def test_each_principal_has_a_token_got_for_a_statement_and_the_gateway_its_own() -> None:
    async with token_world() as world:
        statements = Statements()
        settings = world.settings(kind=CredentialKind.TOKEN_EXCHANGE, issuers=("https://gw.example",))
        source = source_to(world, settings, HandClock(), statements)

        ada, own = await source.token(ADA), await source.token("")

    assert (world.holders[ada], world.holders[own]) == (ADA, "the gateway")
    assert statements.asked == [(ADA, ("https://gw.example",), world.token_url)]
    assert [form["grant_type"].split(":")[-1] for form, _ in world.asked] == ["token-exchange", "client_credentials"]


async def test_without_somebody_who_states_who_a_caller_is_no_caller_has_a_token() -> None:
    async with token_world() as world:
        source = source_to(world, world.settings(kind=CredentialKind.TOKEN_EXCHANGE), HandClock())

        with pytest.raises(CredentialError, match="nobody here can state"):
            await source.token(ADA)

    assert world.asked == []
