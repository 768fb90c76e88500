"""A token is asked for by one at a time, used while it is good, and renewed before its end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.credentials.kept_tokens import (
    EARLY,
    MAX_WAITING,
    MOST_EARLY,
    PAUSE_SECONDS,
    Kept,
    KeptTokens,
    early_seconds,
)
from actors.transports.authorization import ConsentError, CredentialError
from tests.support.hand_clock import HandClock


class Office:
    """Gives tokens that are renewed after 90 s and good for 100, when it is let; raises what it is told to."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.asked: list[str] = []
        self.failures: list[str] = []
        self.trouble: OSError | None = None
        self.opened = asyncio.Event()
        self.opened.set()
        self.tokens = KeptTokens(self.ask, self.failures.append, self.clock)

    async def ask(self, principal: str) -> Kept[str]:
        self.asked.append(principal)
        number = len(self.asked)
        await self.opened.wait()
        if self.trouble is not None:
            raise self.trouble
        now = self.clock()
        return Kept(f"{principal}-{number}", now + 90, now + 100)

    async def ended(self) -> None:
        """What is under way has ended, whatever came of it."""
        await asyncio.wait([*self.tokens._asking.values()])


async def test_all_who_wait_for_one_principal_share_one_question_and_others_have_their_own() -> None:
    office = Office()

    tokens = await asyncio.gather(*(office.tokens.get(name) for name in ["ada"] * 50 + ["bob"]))
    again = await office.tokens.get("ada")

    assert tokens == ["ada-1"] * 50 + ["bob-2"]
    assert again == "ada-1"
    assert office.asked == ["ada", "bob"]


async def test_nobody_waits_for_a_token_that_comes_in_the_place_of_one_that_is_good() -> None:
    office = Office()
    await office.tokens.get("ada")
    office.opened.clear()

    office.clock.advance(90)
    meanwhile = [await office.tokens.get("ada") for _ in range(3)]
    office.opened.set()
    await asyncio.gather(*office.tokens._asking.values())
    after = await office.tokens.get("ada")

    assert meanwhile == ["ada-1"] * 3
    assert after == "ada-2"
    assert office.asked == ["ada", "ada"]


async def test_a_failure_is_told_to_all_who_wait_and_for_a_moment_to_all_who_come() -> None:
    office = Office()
    office.trouble = ConnectionRefusedError("nobody is there")

    outcomes = await asyncio.gather(*(office.tokens.get("ada") for _ in range(3)), return_exceptions=True)
    office.trouble = None
    with pytest.raises(CredentialError, match="no token: nobody is there"):
        await office.tokens.get("ada")
    office.clock.advance(PAUSE_SECONDS)
    after = await office.tokens.get("ada")

    assert [str(outcome) for outcome in outcomes] == ["no token: nobody is there"] * 3
    assert office.failures == ["no token: nobody is there"]
    assert after == "ada-2"


async def test_a_token_outlives_the_failure_to_renew_it_until_its_end() -> None:
    office = Office()
    await office.tokens.get("ada")
    office.trouble = CredentialError("it refused the gateway")

    office.clock.advance(95)
    before = await office.tokens.get("ada")
    await office.ended()
    meanwhile = await office.tokens.get("ada")
    office.clock.advance(5)
    with pytest.raises(CredentialError, match="it refused the gateway"):
        await office.tokens.get("ada")

    assert (before, meanwhile) == ("ada-1", "ada-1")


async def test_that_a_user_has_not_agreed_is_never_remembered_and_ends_what_was_kept() -> None:
    office = Office()
    await office.tokens.get("ada")
    office.trouble = ConsentError("they took it back")

    office.clock.advance(90)
    await office.tokens.get("ada")
    await office.ended()
    kept = office.tokens.kept("ada")
    office.trouble = None
    after = await office.tokens.get("ada")

    assert kept is None
    assert after == "ada-3"
    assert office.failures == []


async def test_what_was_asked_for_before_a_principal_was_forgotten_is_for_those_who_waited_only() -> None:
    office = Office()
    office.opened.clear()
    early = asyncio.create_task(office.tokens.get("ada"))
    await asyncio.sleep(0)

    office.tokens.forget("ada")
    late = asyncio.create_task(office.tokens.get("ada"))
    await asyncio.sleep(0)
    office.opened.set()
    tokens = await asyncio.gather(early, late)

    assert tokens == ["ada-1", "ada-2"]
    assert office.tokens.kept("ada") == "ada-2"


async def test_to_forget_a_principal_ends_the_pause() -> None:
    office = Office()
    office.tokens.pause("ada", "it refuses the token")
    with pytest.raises(CredentialError, match="it refuses the token"):
        await office.tokens.get("ada")

    office.tokens.forget("ada")
    token = await office.tokens.get("ada")

    assert token == "ada-1"


async def test_who_gives_up_waiting_does_not_end_it_for_the_others() -> None:
    office = Office()
    office.opened.clear()
    first, second = (asyncio.create_task(office.tokens.get("ada")) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.wait([first])
    office.opened.set()
    token = await second

    assert first.cancelled()
    assert token == "ada-1"


async def test_a_flood_of_principals_has_a_bound_and_leaves_the_rest_without_waiting() -> None:
    office = Office()
    office.opened.clear()
    waiting = [asyncio.create_task(office.tokens.get(f"user-{number}")) for number in range(MAX_WAITING)]
    await asyncio.sleep(0)

    with pytest.raises(CredentialError, match="too many callers wait"):
        await office.tokens.get("ada")
    office.opened.set()
    await asyncio.gather(*waiting)
    token = await office.tokens.get("ada")

    assert token == f"ada-{MAX_WAITING + 1}"


@given(seconds=st.floats(0, 1e6), dice=st.floats(0, 1, exclude_max=True))
def test_a_token_is_always_renewed_within_the_last_fifth_of_its_time(seconds: float, dice: float) -> None:
    early = early_seconds(seconds, dice)

    assert min(EARLY[0] * seconds, MOST_EARLY) <= early <= min(EARLY[1] * seconds, MOST_EARLY)
