"""Tokens that only their issuer can tell about (RFC 7662), with a real issuer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.core.auth_settings import AuthSettings, IntrospectionSettings, IssuerSettings
from actors.core.principal import Kind, Principal, Refusal
from serve_app.auth import Auth
from serve_app.introspection import MAX_QUESTIONS, STRANGERS
from tests.support.bus import until
from tests.support.hand_clock import HandClock
from tests.support.issuer_server import CLIENT, IssuerServer, issuer_server
from tests.support.tokens import AUDIENCE, ISSUER, claims, issuer, key_file, pem, rsa_key, token

GOOD = {"sub": "alice", "aud": AUDIENCE, "scope": "read write"}


@pytest.fixture
async def served() -> AsyncIterator[IssuerServer]:
    async with issuer_server() as server:
        yield server


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def asks(served: IssuerServer, **changes: Any) -> IssuerSettings:
    always = changes.pop("always", False)
    introspection = IntrospectionSettings(
        url=f"{served.issuer}/introspect", client_id=CLIENT[0], client_secret=CLIENT[1], always=always
    )
    return issuer(introspection=introspection, **changes)


def made(clock: HandClock, *issuers: IssuerSettings) -> Auth:
    return Auth(AuthSettings(issuers=issuers), clock, monotonic=clock)


async def refusal(auth: Auth, credential: str) -> Refusal | None:
    return (await auth.verify(credential)).refusal


async def test_a_token_is_whose_the_issuer_says_it_is(served: IssuerServer, clock: HandClock) -> None:
    served.tokens["opaque"] = {
        **GOOD,
        "client_id": "desktop",
        "groups": ["staff"],
        "jti": "t-1",
        "cnf": {"jkt": "thumb"},
        "iat": clock.now - 5,
    }

    verdict = await made(clock, asks(served)).verify("opaque")

    assert verdict.principal == Principal(
        "alice",
        ISSUER,
        Kind.TOKEN,
        ("read", "write"),
        client="desktop",
        groups=("staff",),
        token_id="t-1",
        issued_at=clock.now - 5,
        key_thumbprint="thumb",
    )
    assert verdict.lasts == 30.0


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, None),
        ({"aud": ["https://other.example", AUDIENCE]}, None),
        ({"iss": ISSUER}, None),
        ({"aud": None}, Refusal.INVALID),
        ({"aud": "https://other.example"}, Refusal.INVALID),
        ({"iss": "https://other.example"}, Refusal.INVALID),
        ({"sub": None, "client_id": "alice"}, Refusal.INVALID),
        ({"exp": 1_800_000_000 - 31}, Refusal.EXPIRED),
        ({"nbf": 1_800_000_000 + 31}, Refusal.INVALID),
        ({"cnf": {"x5t#S256": "x"}}, Refusal.INVALID),
        ({"exp": "soon"}, Refusal.INVALID),
    ],
)
async def test_what_the_issuer_says_must_be_enough(
    served: IssuerServer, clock: HandClock, changes: dict[str, Any], refused: Refusal | None
) -> None:
    served.tokens["opaque"] = {**GOOD, **changes}

    assert await refusal(made(clock, asks(served)), "opaque") is refused


async def test_a_verdict_ends_with_the_token(served: IssuerServer, clock: HandClock) -> None:
    served.tokens["opaque"] = {**GOOD, "exp": clock.now - 20}

    assert (await made(clock, asks(served)).verify("opaque")).lasts == 10.0


async def test_an_answer_is_used_for_as_long_as_the_settings_say_and_no_longer(
    served: IssuerServer, clock: HandClock
) -> None:
    auth = made(clock, asks(served))
    served.tokens["opaque"] = GOOD
    await auth.verify("opaque")
    await auth.verify("revoked")
    clock.advance(20)

    later = await auth.verify("opaque")
    served.tokens.clear()
    clock.advance(10)

    assert later.lasts == 10.0
    assert await refusal(auth, "opaque") is Refusal.UNKNOWN
    assert served.asked == ["opaque", "revoked", "opaque"]


async def test_replicas_that_ask_about_one_token_share_the_question(served: IssuerServer, clock: HandClock) -> None:
    auth = made(clock, asks(served))
    served.tokens["opaque"] = GOOD

    verdicts = await asyncio.gather(*(auth.verify("opaque") for _ in range(20)))

    assert all(verdict.principal is not None for verdict in verdicts)
    assert served.asked == ["opaque"]


def down(served: IssuerServer) -> None:
    served.status = 500


def elsewhere(served: IssuerServer) -> None:
    served.status, served.headers = 307, {"location": served.issuer}


def page(served: IssuerServer) -> None:
    served.answer = b"<html>"


def vague(served: IssuerServer) -> None:
    served.answer = b'{"active":"true","sub":"alice"}'


def twice(served: IssuerServer) -> None:
    served.answer = b'{"active":false,"active":true,"sub":"alice"}'


def endless(served: IssuerServer) -> None:
    served.answer = b" " * 300_000


@pytest.mark.parametrize("spoil", [down, elsewhere, page, vague, twice, endless])
async def test_an_issuer_that_gives_no_answer_leaves_the_question_open(
    served: IssuerServer, clock: HandClock, spoil: Any
) -> None:
    auth = made(clock, asks(served))
    served.tokens["opaque"] = GOOD
    spoil(served)

    with capture_logs() as logs:
        verdicts = [await auth.verify("opaque") for _ in range(2)]

    assert [verdict.refusal for verdict in verdicts] == [Refusal.UNAVAILABLE] * 2
    assert [entry["event"] for entry in logs] == ["introspection_unavailable"]
    assert "opaque" not in repr(logs)
    assert CLIENT[1] not in repr(logs)

    served.status, served.answer = 200, None
    assert (await auth.verify("opaque")).principal is not None


async def test_an_issuer_that_does_not_know_us_leaves_the_question_open(served: IssuerServer, clock: HandClock) -> None:
    introspection = IntrospectionSettings(url=f"{served.issuer}/introspect", client_id="x", client_secret="y")

    assert await refusal(made(clock, issuer(introspection=introspection)), "opaque") is Refusal.UNAVAILABLE


async def test_strangers_ask_no_more_than_so_often_and_keep_nobody_out(served: IssuerServer, clock: HandClock) -> None:
    auth = made(clock, asks(served))
    served.tokens["opaque"] = GOOD
    await auth.verify("opaque")
    clock.advance(31)

    guesses = [await refusal(auth, f"guess-{number}") for number in range(150)]
    ours = await auth.verify("opaque")

    assert STRANGERS.burst == 100
    assert guesses == [Refusal.UNKNOWN] * 100 + [Refusal.UNAVAILABLE] * 50
    assert ours.principal is not None

    clock.advance(1)
    assert await refusal(auth, "guess-anew") is Refusal.UNKNOWN


async def test_questions_at_once_are_bounded(served: IssuerServer, clock: HandClock) -> None:
    auth = made(clock, asks(served))
    served.open.clear()
    waiting = [asyncio.create_task(auth.verify(f"guess-{number}")) for number in range(MAX_QUESTIONS)]
    await until(lambda: len(served.asked) == MAX_QUESTIONS)

    assert await refusal(auth, "one-more") is Refusal.UNAVAILABLE
    assert "one-more" not in served.asked

    served.open.set()
    await asyncio.gather(*waiting)
    assert await refusal(auth, "one-more") is Refusal.UNKNOWN


async def test_every_issuer_that_can_be_asked_is_asked(served: IssuerServer, clock: HandClock) -> None:
    async with issuer_server() as other:
        auth = made(clock, asks(served), asks(other, issuer="https://other.example"))
        other.tokens["opaque"] = {**GOOD, "sub": "bob"}
        served.status = 503

        found, unsure = await auth.verify("opaque"), await auth.verify("unknown")
        served.status = 200
        sure = await auth.verify("unknown")

    assert found.principal is not None
    assert (found.principal.subject, found.principal.issuer) == ("bob", "https://other.example")
    assert (unsure.refusal, sure.refusal) == (Refusal.UNAVAILABLE, Refusal.UNKNOWN)


@pytest.mark.parametrize("credential", ["o1m_a-key-that-was-mistyped", "ключ", "\ud800"])
async def test_what_cannot_be_a_token_is_told_to_no_issuer(
    served: IssuerServer, clock: HandClock, credential: str
) -> None:
    assert await refusal(made(clock, asks(served)), credential) is Refusal.UNKNOWN
    assert served.asked == []


async def test_a_token_of_an_issuer_without_keys_is_asked_about_there_and_nowhere_else(
    served: IssuerServer, clock: HandClock
) -> None:
    async with issuer_server() as other:
        auth = made(clock, asks(served), asks(other, issuer="https://other.example"))
        signed = token(claims(clock.now), rsa_key())
        served.tokens[signed] = GOOD

        assert (await auth.verify(signed)).principal is not None
        assert await refusal(auth, token(claims(clock.now, iss="https://third.example"), rsa_key())) is Refusal.UNKNOWN

    assert (served.asked, other.asked) == ([signed], [])


async def test_a_signed_token_is_asked_about_only_if_the_settings_say_so(
    served: IssuerServer, clock: HandClock, tmp_path: Path
) -> None:
    keys = key_file(tmp_path, pem(rsa_key()))
    signed = token(claims(clock.now), rsa_key())
    forged = token(claims(clock.now), rsa_key("forger"))

    alone = await made(clock, asks(served, key_file=keys)).verify(signed)
    auth = made(clock, asks(served, key_file=keys, always=True))
    revoked = await auth.verify(signed)
    clock.advance(31)
    served.tokens[signed] = {"scope": "more than it was signed for"}
    active = await auth.verify(signed)
    forgery = await auth.verify(forged)

    assert alone.principal is not None
    assert alone.lasts == 300.0
    assert revoked.refusal is Refusal.UNKNOWN
    assert active.principal is not None
    assert active.principal.scopes == ()
    assert active.lasts == 30.0
    assert forgery.refusal is Refusal.INVALID
    assert served.asked == [signed, signed]


async def test_a_signed_token_is_not_another_persons(served: IssuerServer, clock: HandClock, tmp_path: Path) -> None:
    auth = made(clock, asks(served, key_file=key_file(tmp_path, pem(rsa_key())), always=True))
    signed = token(claims(clock.now), rsa_key())
    served.tokens[signed] = {"sub": "bob"}

    assert await refusal(auth, signed) is Refusal.INVALID
