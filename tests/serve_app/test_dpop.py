"""Tokens that are bound to a key, and the proofs that must come with them (RFC 9449), at a real ingress."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors.core.auth_settings import AuthSettings
from actors.core.principal import Kind, Principal, Verdict
from serve_app.auth import Auth
from serve_app.authentication import Authentication
from serve_app.denial import INVALID, MISSING, UNPROVEN
from serve_app.own_url import OwnUrl
from serve_app.proofs import Proofs
from tests.support.asgi import Conversation, ask
from tests.support.hand_clock import HandClock
from tests.support.house import House, Plan, Replica, house
from tests.support.posts import ModernClient
from tests.support.proofs import name_of, proof
from tests.support.tokens import claims, ec_key, ed_key, issuer, key_file, pem, public_jwk, rsa_key, token

CLOCK = HandClock()
NOW = CLOCK.now
PUBLIC = "https://gw.example"
URL = f"{PUBLIC}/mcp"
BOUND = token(claims(NOW, cnf={"jkt": name_of(ec_key())}), rsa_key())
FREE = token(claims(NOW), rsa_key())


def auth_settings(folder: Path, public_url: str | None = PUBLIC) -> AuthSettings:
    return AuthSettings(issuers=(issuer(key_file=key_file(folder, pem(rsa_key()))),), public_url=public_url)


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[House]:
    settings = auth_settings(tmp_path)
    async with house(Replica(), plan=Plan(verify=Auth(settings, CLOCK).verify, auth=settings)) as built:
        yield built


async def call(gateway: Any, credential: str, *proofs: str, path: str = "/mcp") -> Conversation:
    client = ModernClient(gateway, path)
    return await client.call(
        "git__echo", headers={"authorization": credential, **({"dpop": proofs[0]} if proofs else {})}
    )


def made(**changes: Any) -> str:
    return proof(ec_key(), NOW, token=BOUND, url=URL, **changes)


def by(key: Any, algorithm: str) -> str:
    return proof(key, NOW, algorithm, token=BOUND, url=URL)


def error_of(answered: Conversation) -> str:
    told = [value for name, value in answered.headers if name == "www-authenticate" and value.startswith("DPoP ")]
    return told[0].partition('error="')[2].partition('"')[0]


async def test_a_bound_token_with_a_proof_comes_in(built: House) -> None:
    answered = await call(built.doorway(), f"DPoP {BOUND}", made())

    assert answered.status == 200


@pytest.mark.parametrize(("key", "algorithm"), [(ed_key(), "EdDSA"), (rsa_key(), "RS256")])
async def test_the_key_may_be_of_another_kind(tmp_path: Path, key: Any, algorithm: str) -> None:
    settings = auth_settings(tmp_path)
    bound = token(claims(NOW, cnf={"jkt": name_of(key)}), rsa_key())
    async with house(Replica(), plan=Plan(verify=Auth(settings, CLOCK).verify, auth=settings)) as built:
        answered = await call(built.doorway(), f"DPoP {bound}", proof(key, NOW, algorithm, token=bound, url=URL))

    assert answered.status == 200


@pytest.mark.parametrize(
    "sent",
    [
        made(htm="GET"),
        made(htu=f"{PUBLIC}/sse"),
        made(htu="https://evil.example/mcp"),
        made(htu="http://127.0.0.1:8080/mcp"),
        made(iat=NOW - 31),
        made(iat=NOW + 31),
        made(ath="x"),
        made(ath=None),
        made(jti=None),
        made(header={"typ": "JWT"}),
        made(header={"jwk": public_jwk(ec_key("other"))}),
        made(header={"jwk": public_jwk(rsa_key())}),
        by(ec_key("other"), "ES256"),
        by(rsa_key(), "RS256"),
        f"{made()}x",
        made().rpartition(".")[0] + ".",
        "",
        "x",
        "é",
    ],
)
async def test_a_proof_that_does_not_fit_is_refused(built: House, sent: str) -> None:
    answered = await call(built.doorway(), f"DPoP {BOUND}", sent)

    assert answered.status == 401
    assert error_of(answered) == "invalid_dpop_proof"


async def test_a_bound_token_without_a_proof_is_refused(built: House) -> None:
    gateway = built.doorway()
    await call(gateway, f"DPoP {BOUND}", made())

    bare, as_bearer = await call(gateway, f"DPoP {BOUND}"), await call(gateway, f"Bearer {BOUND}")

    assert (bare.status, error_of(bare)) == (401, "invalid_dpop_proof")
    assert (as_bearer.status, error_of(as_bearer)) == (401, "invalid_token")


async def test_a_proof_with_a_token_that_is_not_bound_is_refused(built: House) -> None:
    gateway = built.doorway()
    good = proof(ec_key(), NOW, token=FREE, url=URL)

    bound, bearer, plain = (
        await call(gateway, f"DPoP {FREE}", good),
        await call(gateway, f"Bearer {FREE}", good),
        await call(gateway, f"Bearer {FREE}"),
    )

    assert (bound.status, error_of(bound)) == (401, "invalid_token")
    assert (bearer.status, error_of(bearer)) == (401, "invalid_dpop_proof")
    assert plain.status == 200


async def test_a_proof_is_good_once_at_each_ingress_and_not_beyond_its_time(built: House) -> None:
    first, second = built.doorway(), built.doorway()

    used = [(await call(each, f"DPoP {BOUND}", made())).status for each in (first, first, second, second)]
    fresh = await call(first, f"DPoP {BOUND}", made(jti="p-2"))
    built.clock.advance(31)
    late = await call(first, f"DPoP {BOUND}", made(jti="p-3"))

    assert used == [200, 401, 200, 401]
    assert (fresh.status, late.status) == (200, 401)


async def test_two_proofs_are_no_proof(built: House) -> None:
    headers = [("authorization", f"DPoP {BOUND}"), ("dpop", made()), ("dpop", made(jti="p-2"))]

    answered = await ask(built.doorway(), "POST", "/mcp", headers, [b"{}"])

    assert answered.status == 400


async def test_a_proof_is_for_the_url_that_the_client_saw_where_no_public_one_is_known(tmp_path: Path) -> None:
    settings = auth_settings(tmp_path, public_url=None)
    async with house(Replica(), plan=Plan(verify=Auth(settings, CLOCK).verify, auth=settings)) as built:
        gateway = built.doorway()
        here = await call(gateway, f"DPoP {BOUND}", made(htu="http://127.0.0.1:8080/mcp"))
        elsewhere = await call(gateway, f"DPoP {BOUND}", made(htu=URL, jti="p-2"))

    assert (here.status, elsewhere.status) == (200, 401)


SCOPE: Any = {"type": "websocket", "path": "/ws", "headers": []}


def gate(clock: HandClock, asked: list[str]) -> Authentication:
    async def verify(credential: str) -> Verdict:
        asked.append(credential)
        return Verdict(Principal("alice", "i", Kind.TOKEN, key_thumbprint=name_of(ec_key())), None, 60.0)

    return Authentication(verify, clock, proofs=Proofs(OwnUrl(PUBLIC), clock))


def knock(**changes: Any) -> list[tuple[bytes, bytes]]:
    sent = proof(ec_key(), NOW, token=BOUND, url=f"{PUBLIC}/ws", **{"htm": "GET", **changes})
    return [(b"dpop", sent.encode()), (b"authorization", f"dpop {BOUND}".encode())]


async def test_auth_is_asked_once_about_a_bound_token_and_never_about_proofs() -> None:
    asked: list[str] = []
    authentication = gate(HandClock(), asked)

    await authentication.check(knock(), SCOPE)
    decided = [authentication.peek(knock(jti=f"p-{number}"), SCOPE) for number in range(2, 5)]

    assert all(isinstance(each, Principal) for each in decided)
    assert asked == [BOUND]


async def test_an_open_connection_needs_its_token_to_be_good_and_no_further_proof() -> None:
    clock = HandClock()
    authentication = gate(clock, [])
    await authentication.check(knock(), SCOPE)
    clock.advance(45)

    assert authentication.peek(knock(), SCOPE) is UNPROVEN
    assert isinstance(authentication.peek(knock(), SCOPE, again=True), Principal)

    clock.advance(15)
    assert authentication.peek(knock(), SCOPE, again=True) is None


async def test_without_a_request_nothing_is_proven() -> None:
    assert await gate(HandClock(), []).check(knock()) is UNPROVEN


@pytest.mark.parametrize(
    ("headers", "denial"),
    [
        ([(b"dpop", b"x")], MISSING),
        ([(b"dpop", b"x"), (b"dpop", b"y")], MISSING),
        ([(b"authorization", b"DPoP x")], UNPROVEN),
        ([(b"dpop", b"x"), (b"x-api-key", b"key")], UNPROVEN),
        ([(b"dpop", b"x"), (b"authorization", b"Basic x")], MISSING),
        ([(b"dpop", b"x"), (b"authorization", b"DPoP ")], MISSING),
        ([(b"dpop", b"x"), (b"authorization", b"DPoP a b")], INVALID),
    ],
)
async def test_what_carries_no_token_with_its_proof_is_refused_unasked(
    headers: list[tuple[bytes, bytes]], denial: object
) -> None:
    asked: list[str] = []

    assert await gate(HandClock(), asked).check(headers, SCOPE) is denial
    assert asked == []


def test_the_proofs_that_are_remembered_are_bounded() -> None:
    clock = HandClock()
    proofs = Proofs(OwnUrl(PUBLIC), clock, max_remembered=3)

    for number in range(10):
        sent = knock(jti=f"p-{number}")[0][1]
        assert proofs.accept(sent, BOUND.encode(), name_of(ec_key()), SCOPE)

    assert len(proofs._seen) == 3
