import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from actors.core.auth_settings import AuthSettings
from actors.core.principal import Refusal
from serve_app.auth import Auth
from serve_app.fetch import MAX_DOCUMENT_BYTES, fetch
from serve_app.jwks import Jwks
from serve_app.signing_keys import from_jwks
from tests.support.hand_clock import HandClock
from tests.support.jwks_server import JwksServer, jwks_server
from tests.support.tokens import claims, ec_key, issuer, jwk, key_set, rsa_key, segment, token

CLOCK = HandClock()
FIRST, SECOND = jwk(rsa_key(), "first"), jwk(rsa_key("second"), "second")


@pytest.fixture
async def served() -> AsyncIterator[JwksServer]:
    async with jwks_server() as server:
        server.document = key_set(FIRST)
        yield server


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def auth(served: JwksServer, clock: HandClock) -> Auth:
    trusted = issuer(algorithms=("RS256", "ES256"), jwks_url=served.url)
    return Auth(AuthSettings(issuers=(trusted,)), clock, monotonic=clock)


def signed(kid: str | None = "first", name: str | None = None, **changes: Any) -> str:
    header = {} if kid is None else {"kid": kid}
    return token(claims(CLOCK.now, exp=CLOCK.now + 1e6, **changes), rsa_key(name or kid or "first"), **header)


async def accepted(auth: Auth, credential: str) -> bool:
    return (await auth.verify(credential)).principal is not None


async def refused(auth: Auth, credential: str) -> Refusal | None:
    return (await auth.verify(credential)).refusal


async def test_keys_are_fetched_once_and_kept_for_five_minutes(
    auth: Auth, served: JwksServer, clock: HandClock
) -> None:
    assert await accepted(auth, signed(sub="alice"))
    clock.advance(299)
    assert await accepted(auth, signed(sub="bob"))
    assert served.requests == 1

    clock.advance(1)
    assert await accepted(auth, signed(sub="carol"))
    assert served.requests == 2


async def test_a_new_key_is_found_as_soon_as_a_token_names_it(auth: Auth, served: JwksServer, clock: HandClock) -> None:
    await auth.verify(signed())
    served.document = key_set(FIRST, SECOND)
    clock.advance(10)

    assert await accepted(auth, signed("second"))
    assert served.requests == 2


async def test_a_withdrawn_key_is_refused_once_the_set_is_old(auth: Auth, served: JwksServer, clock: HandClock) -> None:
    await auth.verify(signed())
    served.document = key_set(SECOND)
    clock.advance(300)

    assert await refused(auth, signed()) is Refusal.UNKNOWN
    assert await accepted(auth, signed("second"))


async def test_unknown_keys_cause_one_fetch_in_ten_seconds(auth: Auth, served: JwksServer, clock: HandClock) -> None:
    for number in range(20):
        assert await refused(auth, signed(f"guess-{number}", "forger")) is Refusal.UNKNOWN
    assert served.requests == 1

    clock.advance(10)
    for number in range(20):
        assert await refused(auth, signed(f"guess-{number}", "forger")) is Refusal.UNKNOWN
    assert served.requests == 2


async def test_tokens_that_wait_for_the_same_keys_share_one_fetch(auth: Auth, served: JwksServer) -> None:
    served.open.clear()
    waiting = [asyncio.create_task(auth.verify(signed(sub=f"user-{number}"))) for number in range(50)]
    await asyncio.wait_for(served.reached.wait(), 5)
    served.open.set()

    verdicts = await asyncio.gather(*waiting)

    assert all(verdict.principal is not None for verdict in verdicts)
    assert served.requests == 1


async def test_the_last_good_keys_go_on_while_the_issuer_is_down(
    auth: Auth, served: JwksServer, clock: HandClock
) -> None:
    await auth.verify(signed())
    served.status = 503

    for _ in range(5):
        clock.advance(301)
        assert await accepted(auth, signed())
    assert served.requests == 6

    assert await refused(auth, signed("second")) is Refusal.UNAVAILABLE


async def test_the_last_good_keys_go_on_for_a_day_only(auth: Auth, served: JwksServer, clock: HandClock) -> None:
    await auth.verify(signed())
    served.status = 503
    clock.advance(86_400)

    assert await refused(auth, signed()) is Refusal.UNAVAILABLE


@pytest.mark.parametrize("document", [b"", b"<html>", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [1]}', b"[" * 9999])
async def test_a_document_that_is_no_key_set_does_not_replace_good_keys(
    auth: Auth, served: JwksServer, clock: HandClock, document: bytes
) -> None:
    await auth.verify(signed())
    served.document = document
    clock.advance(301)

    assert await accepted(auth, signed())
    assert served.requests == 2


async def test_without_any_keys_yet_nobody_is_refused_for_good(
    auth: Auth, served: JwksServer, clock: HandClock
) -> None:
    served.status = 500
    down = await auth.verify(signed())
    served.status = 200
    too_early = await auth.verify(signed())
    clock.advance(10)

    assert (down.refusal, down.lasts) == (Refusal.UNAVAILABLE, 1.0)
    assert too_early.refusal is Refusal.UNAVAILABLE
    assert await accepted(auth, signed())


async def test_a_slow_issuer_holds_up_nobody_whose_key_is_known(clock: HandClock) -> None:
    answering = asyncio.Event()
    answering.set()

    async def answer(_: str) -> bytes:
        await answering.wait()
        return key_set(FIRST)

    jwks = Jwks(issuer(jwks_url="https://issuer.example/jwks"), "", answer, clock, patience=0.01)
    before = await jwks.find("first", "RS256")
    answering.clear()
    clock.advance(301)

    async with asyncio.timeout(1):
        during = await jwks.find("first", "RS256")

    assert not isinstance(before, Refusal)
    assert during is before
    answering.set()


async def test_a_wall_clock_that_jumps_back_does_not_stop_refreshing(served: JwksServer) -> None:
    wall, monotonic = HandClock(), HandClock(5.0)
    auth = Auth(AuthSettings(issuers=(issuer(jwks_url=served.url),)), wall, monotonic=monotonic)
    await auth.verify(signed())
    wall.advance(-10)
    monotonic.advance(10)
    served.document = key_set(SECOND)

    assert await accepted(auth, signed("second"))


async def test_a_token_without_a_key_id_gets_the_only_key_for_its_algorithm(
    auth: Auth, served: JwksServer, clock: HandClock
) -> None:
    served.document = key_set(FIRST, jwk(ec_key(), "ec"))
    assert await accepted(auth, signed(None))

    served.document = key_set(FIRST, SECOND)
    clock.advance(301)
    assert await refused(auth, signed(None)) is Refusal.UNKNOWN


async def test_elliptic_keys_are_read_from_a_set(auth: Auth, served: JwksServer) -> None:
    served.document = key_set(FIRST, jwk(ec_key(), "ec", alg="ES256", use="sig", key_ops=["verify"]))

    assert await accepted(auth, token(claims(CLOCK.now), ec_key(), "ES256", kid="ec"))
    assert await refused(auth, token(claims(CLOCK.now), ec_key(), "ES256", kid="first")) is Refusal.UNKNOWN


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384"])
async def test_an_algorithm_outside_the_list_is_refused_before_any_key_is_fetched(
    auth: Auth, served: JwksServer, algorithm: str
) -> None:
    credential = f"{segment({'alg': algorithm, 'kid': 'first'})}.{segment(claims(CLOCK.now))}.{segment(b'anything')}"

    assert await refused(auth, credential) is Refusal.INVALID
    assert served.requests == 0


@pytest.mark.parametrize(
    "unusable",
    [
        jwk(rsa_key(), "first", use="enc"),
        jwk(rsa_key(), "first", alg="RS512"),
        jwk(rsa_key(), "first", alg=["RS256"]),
        jwk(rsa_key(), "first", key_ops=["encrypt"]),
        jwk(rsa_key(), "first", key_ops=7),
        jwk(rsa_key(), "first", d="AQAB"),
        jwk(rsa_key(), "first", n=5),
        jwk(rsa_key("weak", 1024), "first"),
        jwk(ec_key("wide", ec.SECP384R1), "first"),
        {"kty": "oct", "kid": "first", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "first"},
        {"kid": "first"},
        {**FIRST, "kid": 7},
    ],
)
def test_a_key_of_another_kind_is_left_out_and_its_neighbour_read(unusable: dict[str, Any]) -> None:
    keys = from_jwks(key_set(unusable, SECOND), ("RS256", "ES256"))

    assert [key.kid for key in keys] == ["second"]


def test_keys_for_algorithms_an_issuer_may_not_use_are_left_out() -> None:
    keys = from_jwks(key_set(FIRST, jwk(ec_key(), "ec")), ("ES256",))

    assert [key.kid for key in keys] == ["ec"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["RSA", "EC", "P-256", "AQAB", "sig"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
members = st.sampled_from(["kty", "n", "e", "crv", "x", "y", "use", "alg", "kid", "key_ops"])


@given(entry=st.dictionaries(members, json_values))
def test_no_entry_makes_reading_a_key_set_fail(entry: dict[str, Any]) -> None:
    keys = from_jwks(json.dumps({"keys": [entry, FIRST]}).encode(), ("RS256",))

    assert "first" in [key.kid for key in keys]


def redirect(served: JwksServer) -> None:
    served.status, served.headers = 302, {"location": served.url}


def oversize(served: JwksServer) -> None:
    served.document = b" " * (MAX_DOCUMENT_BYTES + 1)


def missing(served: JwksServer) -> None:
    served.status = 404


@pytest.mark.parametrize(
    ("spoil", "reason"), [(redirect, "status 302"), (oversize, "more than 262144 bytes"), (missing, "status 404")]
)
async def test_an_answer_that_is_not_the_document_is_an_error(
    served: JwksServer, spoil: Callable[[JwksServer], None], reason: str
) -> None:
    spoil(served)

    with pytest.raises(OSError, match=reason):
        await fetch(served.url)


async def test_a_compressed_answer_is_not_expanded(served: JwksServer) -> None:
    served.document, served.headers = gzip.compress(b" " * 10_000_000), {"content-encoding": "gzip"}

    assert await fetch(served.url) == served.document


async def test_a_failed_fetch_does_not_repeat_the_url() -> None:
    with pytest.raises(OSError, match="ConnectError") as raised:
        await fetch("http://127.0.0.1:1/jwks?secret=hunter2")

    assert "hunter2" not in str(raised.value)
