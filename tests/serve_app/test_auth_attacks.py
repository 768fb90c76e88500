"""What attackers send in place of a credential, at a real ingress with a real Auth behind it."""

import base64
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from structlog.testing import capture_logs

from actors.bus.exchange import Exchange
from actors.core.api_key import hash_of
from actors.core.auth_settings import ApiKeySettings, AuthSettings
from actors.core.outcome import Failure
from actors.core.principal import MAX_CREDENTIAL_BYTES, Refusal
from serve_app.auth import Auth
from tests.support.asgi import Conversation, ask
from tests.support.hand_clock import HandClock
from tests.support.house import Behaviour, Doorway, Plan, Replica, doorway, echo
from tests.support.http_servers import error, json_answer, only_outcome
from tests.support.posts import BOTH, MODERN, LegacyClient, ModernClient, modern_meta
from tests.support.tokens import (
    ISSUER,
    claims,
    ec_key,
    ed_key,
    issuer,
    jwk,
    key_file,
    key_set,
    pem,
    public_jwk,
    rsa_key,
    segment,
    token,
)

CLOCK = HandClock()
NOW = CLOCK.now
KEYS = tuple(ApiKeySettings(name=name, hash=hash_of(f"o1m_{name}")) for name in ("first", "second", "third"))
GENUINE = token(claims(NOW), rsa_key())
DER = rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
NUMBERS = json.dumps(public_jwk(rsa_key())).encode()


class Fetches:
    """Has the key set of the issuer; remembers what was fetched."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    async def __call__(self, url: str) -> bytes:
        self.urls.append(url)
        return key_set(jwk(rsa_key("other"), "first"))


FETCHES = Fetches()


@pytest.fixture
def auth(tmp_path: Path) -> Auth:
    """Trusts one issuer by a file, and another by its key set."""
    by_file = issuer(key_file=key_file(tmp_path, pem(rsa_key())), algorithms=("RS256", "ES256", "EdDSA"))
    by_set = issuer(issuer="https://other.example", jwks_url="https://other.example/jwks")
    settings = AuthSettings(issuers=(by_file, by_set), api_keys=KEYS, public_url="https://gateway.example")
    FETCHES.urls.clear()
    return Auth(settings, CLOCK, FETCHES, CLOCK)


def plan(auth: Auth) -> Plan:
    return Plan(verify=auth.verify, auth=auth._settings)


@pytest.fixture
async def gateway(auth: Auth) -> AsyncIterator[Doorway]:
    async with doorway(Replica(), plan=plan(auth)) as opened:
        yield opened


async def knock(gateway: Doorway, *headers: tuple[str, str], path: str = "/mcp") -> Conversation:
    """Call a tool with all that it takes besides a credential."""
    params = {"name": "git__echo", "arguments": {}, "_meta": modern_meta()}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    marks = [
        ("accept", BOTH),
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "tools/call"),
        ("mcp-name", "git__echo"),
    ]
    return await ask(gateway, "POST", path, [*marks, *headers], [json.dumps(body).encode()])


def bearer(credential: str) -> tuple[str, str]:
    return "authorization", f"Bearer {credential}"


async def is_refused(gateway: Doorway, credential: str) -> bool:
    """Whether it is refused as anything else is that is not valid, and nothing of it is repeated."""
    with capture_logs() as logs:
        answered = await knock(gateway, bearer(credential))
    told = dict(answered.headers)["www-authenticate"] + answered.body.decode() + repr(logs)
    plain = answered.json["error"]["message"] == "the credential is not valid"
    return answered.status == 401 and plain and credential[:40] not in told


def signed_by_hmac(secret: bytes, **header: Any) -> str:
    signed = f"{segment({'alg': 'HS256', 'typ': 'JWT', **header})}.{segment(claims(NOW))}"
    return f"{signed}.{segment(hmac.digest(secret, signed.encode(), 'sha256'))}"


async def test_the_genuine_token_comes_in(gateway: Doorway) -> None:
    assert (await knock(gateway, bearer(GENUINE))).status == 200


@pytest.mark.parametrize("name", ["none", "None", "nOnE", "NONE", " none", "", "null"])
@pytest.mark.parametrize("signature", ["", "e30", GENUINE.rpartition(".")[2]])
async def test_no_signature_is_no_signature_however_it_is_written(gateway: Doorway, name: str, signature: str) -> None:
    assert await is_refused(gateway, f"{segment({'alg': name})}.{segment(claims(NOW))}.{signature}")


@pytest.mark.parametrize(
    "secret",
    [pem(rsa_key()), pem(rsa_key()).strip(), DER, NUMBERS, b"", b"\0" * 32],
    ids=lambda secret: f"{len(secret)}",
)
async def test_a_public_key_is_no_shared_secret(gateway: Doorway, secret: bytes) -> None:
    assert await is_refused(gateway, signed_by_hmac(secret))


@pytest.mark.parametrize(("key", "algorithm"), [(ec_key(), "ES256"), (ed_key(), "EdDSA"), (rsa_key("forger"), "RS256")])
async def test_a_key_of_the_attackers_own_signs_nothing(gateway: Doorway, key: Any, algorithm: str) -> None:
    assert await is_refused(gateway, token(claims(NOW), key, algorithm))


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "file:///etc/passwd",
        "' UNION SELECT 'secret' --",
        "| id",
        "https://evil.example/key",
        "first\0",
        "FIRST",
        "k" * 8000,
    ],
)
async def test_a_key_id_is_only_compared(gateway: Doorway, kid: str) -> None:
    forged = token(claims(NOW, iss="https://other.example"), rsa_key("forger"), kid=kid)
    empty = signed_by_hmac(b"", kid=kid)

    assert await is_refused(gateway, forged)
    assert await is_refused(gateway, empty)
    assert set(FETCHES.urls) <= {"https://other.example/jwks"}


@pytest.mark.parametrize("iss", [ISSUER, "https://other.example"])
@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/chain.pem"},
        {"jwk": public_jwk(rsa_key("forger"))},
        {"x5c": [base64.b64encode(DER).decode()]},
        {"jku": "http://169.254.169.254/latest/meta-data", "kid": "first"},
    ],
)
async def test_a_token_brings_no_key_along_and_points_to_none(
    gateway: Doorway, iss: str, header: dict[str, Any]
) -> None:
    assert await is_refused(gateway, token(claims(NOW, iss=iss), rsa_key("forger"), **header))
    assert set(FETCHES.urls) <= {"https://other.example/jwks"}


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://api.example"},
        {"aud": "https://gateway.example.evil.example/mcp"},
        {"aud": "https://gateway.example"},
        {"aud": []},
        {"aud": None},
        {"nbf": NOW + 60},
        {"iat": NOW + 60},
        {"exp": (NOW + 600) * 1000},
        {"exp": None},
        {"iss": "https://other.example"},
        {"iss": "https://nobody.example"},
        {"iss": f"{ISSUER}/"},
        {"sub": ""},
        {"sub": ["alice"]},
        {"cnf": {"x5t#S256": "a certificate's"}},
    ],
)
async def test_a_signed_token_for_another_purpose_is_refused(gateway: Doorway, changes: dict[str, Any]) -> None:
    assert await is_refused(gateway, token(claims(NOW, **changes), rsa_key()))


async def test_an_expired_token_is_told_so_and_a_forged_one_is_not(gateway: Doorway) -> None:
    old = await knock(gateway, bearer(token(claims(NOW, exp=NOW - 60), rsa_key())))

    assert old.status == 401
    assert old.json["error"]["message"] == "the token has expired"
    assert await is_refused(gateway, token(claims(NOW, exp=NOW - 60), rsa_key("forger")))


@pytest.mark.parametrize(
    ("header", "changes"),
    [
        ({"typ": "logout+jwt"}, {}),
        ({"typ": "dpop+jwt"}, {}),
        ({"typ": "secevent+jwt"}, {}),
        ({}, {"at_hash": "an ID token has one"}),
        ({}, {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        ({}, {"typ": "Refresh"}),
    ],
)
async def test_a_token_that_opens_nothing_is_refused(
    gateway: Doorway, header: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert await is_refused(gateway, token(claims(NOW, **changes), rsa_key(), **header))


async def test_a_token_that_says_something_twice_is_refused(gateway: Doorway) -> None:
    said = json.dumps(claims(NOW)).encode()
    payloads = [b'{"sub":"root",' + said[1:], said[:-1] + b',"s\\u0075b":"root"}', said[:-1] + b',"x":{"a":1,"a":2}}']
    tokens = jwt.PyJWS()

    for payload in payloads:
        assert await is_refused(gateway, tokens.encode(payload, rsa_key(), "RS256"))
    assert (await knock(gateway, bearer(tokens.encode(said, rsa_key(), "RS256")))).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([bearer(GENUINE), bearer(GENUINE)], 400),
        ([bearer("x"), bearer(GENUINE)], 400),
        ([bearer(GENUINE), ("x-api-key", "o1m_first")], 400),
        ([("x-api-key", "o1m_first"), ("x-api-key", "o1m_first")], 400),
        ([("authorization", f"Bearer {GENUINE}, Bearer {GENUINE}")], 401),
        ([("authorization", f"Basic {GENUINE}")], 401),
        ([("authorization", GENUINE)], 401),
        ([("cookie", f"access_token={GENUINE}")], 401),
        ([("x-forwarded-authorization", f"Bearer {GENUINE}")], 401),
        ([("x-forwarded-user", "alice"), ("x-remote-user", "alice")], 401),
    ],
)
async def test_a_credential_comes_once_and_in_its_place(
    gateway: Doorway, headers: list[tuple[str, str]], status: int
) -> None:
    assert (await knock(gateway, *headers)).status == status


@pytest.mark.parametrize("name", ["access_token", "token", "api_key", "authorization", "x-api-key"])
async def test_a_credential_in_the_address_is_not_looked_at(gateway: Doorway, name: str) -> None:
    answered = await knock(gateway, path=f"/mcp?{name}={GENUINE}")

    assert answered.status == 401
    assert answered.json["error"]["message"] == "a credential is required"
    assert "error" not in dict(answered.headers)["www-authenticate"]


@pytest.mark.parametrize(
    "credential",
    [
        "a\tb",
        "a\x00b",
        "a\x7fb",
        "a\r\nx-injected: 1",
        "t\xf6ken",
        "\xff\xfe",
        "o1m_first\xa0",
        f"{GENUINE}\x0b",
        "x" * (MAX_CREDENTIAL_BYTES + 1),
        "." * (MAX_CREDENTIAL_BYTES + 1),
        "x" * 1_000_000,
        f"{GENUINE[:40]}{'.' * 5000}",
        f"{segment(b'[' * 5000)}.{segment(b'{' * 5000)}.x",
        "..",
        "=.=.=",
    ],
    ids=lambda credential: f"{len(credential)} {credential[:6]!r}",
)
async def test_no_characters_and_no_size_make_more_of_a_credential(gateway: Doorway, credential: str) -> None:
    answered = await knock(gateway, bearer(credential))

    assert answered.status == (401 if len(credential) < 20_000 else 431)


@pytest.mark.parametrize("credential", ["o1m_first", "o1m_second", "o1m_third", "o1m_none"])
async def test_a_key_is_compared_with_every_key_in_constant_time(
    auth: Auth, credential: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare_digest = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare_digest(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)  # a clock would not tell on a busy machine
    known = (await auth.verify(credential)).principal is not None

    presented = hash_of(credential).encode()
    assert compared == [(presented, key.hash.encode()) for key in KEYS]
    assert known is (credential != "o1m_none")


async def test_the_hash_of_a_key_is_no_key(auth: Auth) -> None:
    for key in KEYS:
        assert (await auth.verify(key.hash)).refusal is Refusal.UNKNOWN


CHALLENGE = 'Bearer realm="upstream", resource_metadata="https://evil.example/.well-known/oauth-protected-resource"'


async def refusing(_: web.Request) -> web.StreamResponse:
    return web.Response(status=401, headers={"www-authenticate": CHALLENGE}, text="who are you")


async def refusing_with_json(_: web.Request) -> web.StreamResponse:
    return json_answer(b'{"error":"invalid_token"}', 401, **{"www-authenticate": CHALLENGE})


async def refusing_with_an_answer(_: web.Request) -> web.StreamResponse:
    return json_answer(error(1, "log in at evil.example"), 401, **{"www-authenticate": CHALLENGE})


@pytest.mark.parametrize("server", [refusing, refusing_with_json, refusing_with_an_answer])
async def test_a_challenge_of_a_server_is_not_relayed(auth: Auth, server: Any) -> None:
    kind, detail = (await only_outcome(server)).failures[0]

    def behave(exchange: Exchange) -> None:
        exchange.finish(Failure(kind, "git", detail))

    answers = await both_eras(auth, behave)

    for answered in answers:
        assert answered.status == 200
        assert "www-authenticate" not in dict(answered.headers)
        assert "evil.example" not in answered.body.decode()
        assert answered.json["error"]["data"]["reason"] == kind.value


async def test_a_server_that_answers_is_heard_in_both_eras(auth: Auth) -> None:
    assert ["result" in answered.json for answered in await both_eras(auth, echo)] == [True, True]


async def both_eras(auth: Auth, behave: Behaviour) -> list[Conversation]:
    """What a client of each era is answered that calls a tool of this server."""
    headers = [bearer(GENUINE)]
    async with doorway(Replica(behave=behave), plan=plan(auth)) as gateway:
        modern = await ModernClient(gateway, headers=headers).call("git__echo")
        client = LegacyClient(gateway, headers=headers)
        await client.initialize()
        return [modern, await client.call("git__echo")]
