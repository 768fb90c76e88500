import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from actors.core.principal import ANONYMOUS, Kind, Principal, Refusal, Verdict
from actors.core.tokens.revocations import Revocation, Revocations, Target
from serve_app.authentication import MAX_PENDING, Authentication
from serve_app.denial import AMBIGUOUS, DENIALS, EXPIRED, INVALID, MISSING, UNAVAILABLE
from tests.support.hand_clock import HandClock

Header = tuple[bytes, bytes]
JSON: Header = (b"content-type", b"application/json")


def bearer(credential: str) -> list[Header]:
    return [JSON, (b"authorization", f"Bearer {credential}".encode())]


def alice(name: str = "alice") -> Principal:
    return Principal(name, "", Kind.KEY)


class ScriptedAuth:
    """Admits what starts with `good`, for a minute; counts questions; can be held, and can be away."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.arrivals = asyncio.Semaphore(0)
        self.away = False
        self.refusal = Refusal.UNKNOWN
        self.open = asyncio.Event()
        self.open.set()

    async def questions(self, count: int) -> None:
        """Wait until so many more have arrived."""
        async with asyncio.timeout(5):
            for _ in range(count):
                await self.arrivals.acquire()

    async def verify(self, credential: str) -> Verdict:
        self.asked.append(credential)
        self.arrivals.release()
        await self.open.wait()
        if self.away:
            raise ConnectionError(f"no actor to verify {credential}")
        if credential.startswith("good"):
            return Verdict(alice(credential), None, 60.0)
        return Verdict(None, self.refusal, 10.0)


@pytest.fixture
def auth() -> ScriptedAuth:
    return ScriptedAuth()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def authentication(auth: ScriptedAuth, clock: HandClock) -> Authentication:
    return Authentication(auth.verify, clock)


async def test_without_auth_everyone_is_anonymous() -> None:
    authentication = Authentication(None)

    assert authentication.peek([JSON]) == ANONYMOUS
    assert await authentication.check(bearer("whatever")) == ANONYMOUS


async def test_a_verdict_is_remembered_until_it_expires(
    authentication: Authentication, auth: ScriptedAuth, clock: HandClock
) -> None:
    assert authentication.peek(bearer("good")) is None
    assert await authentication.check(bearer("good")) == alice("good")

    clock.advance(59.9)
    assert authentication.peek(bearer("good")) == alice("good")
    assert await authentication.check(bearer("good")) == alice("good")
    assert auth.asked == ["good"]

    clock.advance(0.1)
    assert authentication.peek(bearer("good")) is None
    await authentication.check(bearer("good"))
    assert auth.asked == ["good", "good"]


async def test_a_slow_answer_does_not_lengthen_a_verdict(
    authentication: Authentication, auth: ScriptedAuth, clock: HandClock
) -> None:
    auth.open.clear()
    waiting = asyncio.create_task(authentication.check(bearer("good")))
    await auth.questions(1)
    clock.advance(4)
    auth.open.set()
    await waiting

    clock.advance(56)

    assert authentication.peek(bearer("good")) is None


async def test_a_refusal_is_remembered_too(
    authentication: Authentication, auth: ScriptedAuth, clock: HandClock
) -> None:
    assert await authentication.check(bearer("bad")) is INVALID
    assert authentication.peek(bearer("bad")) is INVALID

    clock.advance(10)

    assert authentication.peek(bearer("bad")) is None


@pytest.mark.parametrize(
    ("refusal", "status", "challenge"),
    [
        (Refusal.INVALID, 401, b'Bearer error="invalid_token"'),
        (Refusal.UNKNOWN, 401, b'Bearer error="invalid_token"'),
        (Refusal.EXPIRED, 401, b'Bearer error="invalid_token", error_description="the token has expired"'),
        (Refusal.UNAVAILABLE, 503, None),
    ],
)
async def test_a_refusal_becomes_a_status_and_a_challenge(
    authentication: Authentication, auth: ScriptedAuth, refusal: Refusal, status: int, challenge: bytes | None
) -> None:
    auth.refusal = refusal

    denial = await authentication.check(bearer("bad"))

    assert not isinstance(denial, Principal)
    assert denial.status == status
    assert dict(denial.headers).get(b"www-authenticate") == challenge


def test_every_refusal_has_a_denial() -> None:
    assert set(DENIALS) == set(Refusal)
    assert DENIALS[Refusal.EXPIRED] is EXPIRED


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [JSON],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer  ")],
        [(b"authorization", b"Basic Z29vZDpnb29k")],
        [(b"authorization", b"good")],
        [(b"x-api-key", b" ")],
        [(b"cookie", b"authorization=good")],
    ],
)
async def test_a_request_without_a_credential_gets_a_plain_challenge(
    authentication: Authentication, auth: ScriptedAuth, headers: list[Header]
) -> None:
    assert authentication.peek(headers) is MISSING
    assert await authentication.check(headers) is MISSING
    assert (MISSING.status, MISSING.headers) == (401, ((b"www-authenticate", b"Bearer"),))
    assert auth.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        [*bearer("good"), *bearer("good")],
        [*bearer("good"), *bearer("evil")],
        [*bearer("good"), (b"x-api-key", b"good")],
        [(b"authorization", b""), *bearer("good")],
    ],
)
async def test_more_than_one_credential_is_a_bad_request(
    authentication: Authentication, auth: ScriptedAuth, headers: list[Header]
) -> None:
    assert authentication.peek(headers) is AMBIGUOUS
    assert await authentication.check(headers) is AMBIGUOUS
    assert AMBIGUOUS.status == 400
    assert auth.asked == []


@pytest.mark.parametrize("credential", [b"two words", b"caf\xc3\xa9", b"a\x00b", b"k" * 16_385])
async def test_what_cannot_be_a_credential_is_refused_without_asking(
    authentication: Authentication, auth: ScriptedAuth, credential: bytes
) -> None:
    assert authentication.peek([(b"x-api-key", credential)]) is INVALID
    assert auth.asked == []


@pytest.mark.parametrize(
    "header", [(b"authorization", b"bearer  good"), (b"authorization", b"BEARER good "), (b"x-api-key", b"good")]
)
async def test_a_credential_is_one_credential_however_it_is_sent(
    authentication: Authentication, auth: ScriptedAuth, header: Header
) -> None:
    await authentication.check(bearer("good"))

    assert authentication.peek([header]) == alice("good")
    assert auth.asked == ["good"]


async def test_fifty_requests_with_one_unknown_credential_ask_once(
    authentication: Authentication, auth: ScriptedAuth
) -> None:
    answers = await asyncio.gather(*(authentication.check(bearer("good")) for _ in range(50)))

    assert answers == [alice("good")] * 50
    assert auth.asked == ["good"]


async def test_a_client_that_goes_away_does_not_take_the_answer_from_the_others(
    authentication: Authentication, auth: ScriptedAuth
) -> None:
    auth.open.clear()
    first, second = (asyncio.create_task(authentication.check(bearer("good"))) for _ in range(2))
    await auth.questions(1)

    first.cancel()
    auth.open.set()

    assert await second == alice("good")
    assert auth.asked == ["good"]


async def test_remembered_verdicts_go_on_while_auth_is_away_and_unknown_credentials_get_503(
    authentication: Authentication, auth: ScriptedAuth
) -> None:
    await authentication.check(bearer("good"))
    auth.away = True

    new = await authentication.check(bearer("good-but-new"))

    assert new is UNAVAILABLE
    assert (UNAVAILABLE.status, UNAVAILABLE.headers) == (503, ((b"retry-after", b"1"),))
    assert await authentication.check(bearer("good")) == alice("good")


async def test_auth_is_asked_again_as_soon_as_it_is_back(authentication: Authentication, auth: ScriptedAuth) -> None:
    auth.away = True
    await authentication.check(bearer("good"))
    auth.away = False

    assert await authentication.check(bearer("good")) == alice("good")


async def test_an_auth_that_never_answers_is_waited_for_within_a_limit(auth: ScriptedAuth) -> None:
    authentication = Authentication(auth.verify, time_limit=0.01)
    auth.open.clear()

    assert await authentication.check(bearer("good")) is UNAVAILABLE


async def test_questions_at_once_are_bounded(authentication: Authentication, auth: ScriptedAuth) -> None:
    await authentication.check(bearer("good"))
    auth.open.clear()
    waiting = [asyncio.create_task(authentication.check(bearer(f"good-{n}"))) for n in range(MAX_PENDING)]
    await auth.questions(1 + MAX_PENDING)

    assert await authentication.check(bearer("good-too")) is UNAVAILABLE
    assert await authentication.check(bearer("good")) == alice("good")

    auth.open.set()
    assert await asyncio.gather(*waiting) == [alice(f"good-{n}") for n in range(MAX_PENDING)]
    assert await authentication.check(bearer("good-too")) == alice("good-too")


async def test_strangers_cannot_push_out_principals(auth: ScriptedAuth, clock: HandClock) -> None:
    authentication = Authentication(auth.verify, clock, max_entries=5)
    await authentication.check(bearer("good"))

    for number in range(50):
        await authentication.check(bearer(f"bad-{number}"))

    assert authentication.peek(bearer("good")) == alice("good")
    assert authentication.peek(bearer("bad-0")) is None


async def test_what_is_remembered_is_bounded_and_holds_no_credential(auth: ScriptedAuth, clock: HandClock) -> None:
    authentication = Authentication(auth.verify, clock, max_entries=5)

    for number in range(50):
        await authentication.check(bearer(f"good-{number}"))

    assert len(authentication._admitted) == 5
    assert not any(b"good" in digest for digest in authentication._admitted._entries)


async def test_no_two_replicas_remember_a_credential_by_the_same_digest(auth: ScriptedAuth) -> None:
    one, other = Authentication(auth.verify), Authentication(auth.verify)

    await one.check(bearer("good"))
    await other.check(bearer("good"))

    assert set(one._admitted._entries).isdisjoint(other._admitted._entries)


async def test_an_outage_is_logged_once_and_never_with_the_credential(
    authentication: Authentication, auth: ScriptedAuth
) -> None:
    with capture_logs() as logs:
        auth.away = True
        for number in range(3):
            await authentication.check(bearer(f"good-{number}"))
        auth.away = False
        await authentication.check(bearer("good"))

    events: Sequence[str] = [entry["event"] for entry in logs]
    assert events == ["auth_unreachable", "auth_reachable"]
    assert "good" not in repr(logs)


def revoked(mark: str, *subjects: str) -> Revocations:
    return Revocations(mark, tuple(Revocation(Target.SUBJECT, subject) for subject in subjects))


async def test_a_remembered_verdict_is_forgotten_when_its_principal_is_revoked(
    authentication: Authentication, auth: ScriptedAuth
) -> None:
    await authentication.check(bearer("good-eve"))
    await authentication.check(bearer("good-ada"))

    authentication.revoke(revoked("1", "good-eve"))

    assert authentication.peek(bearer("good-eve")) is None
    assert authentication.peek(bearer("good-ada")) == alice("good-ada")
    assert await authentication.check(bearer("good-eve")) is INVALID  # though Auth has not heard of it yet
    assert auth.asked == ["good-eve", "good-ada", "good-eve"]


async def test_a_verdict_that_was_under_way_when_its_principal_was_revoked_counts_for_nothing(
    authentication: Authentication, auth: ScriptedAuth
) -> None:
    auth.open.clear()
    waiting = asyncio.create_task(authentication.check(bearer("good-eve")))
    await auth.questions(1)

    authentication.revoke(revoked("1", "good-eve"))
    auth.open.set()

    assert await waiting is INVALID
    assert authentication.peek(bearer("good-eve")) is INVALID


async def test_a_revocation_that_is_taken_back_is_forgotten_soon(
    authentication: Authentication, clock: HandClock
) -> None:
    authentication.revoke(revoked("1", "good-eve"))
    assert await authentication.check(bearer("good-eve")) is INVALID

    authentication.revoke(revoked("2"))
    clock.advance(10.0)

    assert await authentication.check(bearer("good-eve")) == alice("good-eve")
