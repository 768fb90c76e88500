"""Tokens of users are each for the calls of that user, renewed once, and gone when the user or the server says so."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from actors.core.credential_settings import CredentialSettings
from actors.core.oauth.agreement import read_agreement
from actors.core.oauth.challenge import read_challenge
from actors.credentials.kept_tokens import PAUSE_SECONDS
from actors.credentials.user_tokens import LOOK_SECONDS
from actors.transports.authorization import ConsentError, CredentialError
from actors.vault import Vault
from tests.support.consent_office import ConsentOffice
from tests.support.consent_world import ConsentWorld, consent_world
from tests.support.hand_clock import HandClock
from tests.support.vault import VaultBox

PLAIN = read_challenge(["Bearer"])
WRITE = read_challenge(['Bearer error="insufficient_scope", scope="write"'])


@asynccontextmanager
async def replicas(
    count: int = 1, auth: dict[str, Any] | None = None, settings: CredentialSettings | None = None
) -> AsyncIterator[tuple[ConsentWorld, HandClock, Vault, Sequence[ConsentOffice]]]:
    """So many of one backend, with one Vault and one clock."""
    clock = HandClock()
    box = VaultBox(None)
    box.clock = clock
    vault = box.start()
    async with consent_world() as world:
        made = settings if auth is None else world.users(**{**auth, "issuer": world.origin})
        yield world, clock, vault, [ConsentOffice(world, vault, clock, made) for _ in range(count)]


async def test_without_consent_there_is_no_token_and_right_after_it_there_is_one_at_every_replica() -> None:
    async with replicas(2) as (world, _, _, (here, there)):
        for replica in (here, there):
            with pytest.raises(ConsentError, match="no consent yet"):
                await replica.tokens.token("ada")
        await here.connect("ada")

        tokens = [await replica.tokens.token("ada") for replica in (here, there)]

    assert [world.holders[token] for token in tokens] == ["ada", "ada"]
    assert len(world.asked) == 1


async def test_a_token_is_renewed_before_its_end_and_the_refresh_token_is_used_once_by_all_replicas() -> None:
    async with replicas(4) as (world, clock, _, offices):
        world.seconds = 100
        await offices[0].connect("ada")
        for office in offices:
            await office.tokens.token("ada")

        for _ in range(5):
            clock.advance(101)
            tokens = await asyncio.gather(*(office.tokens.token("ada") for office in offices for _ in range(5)))
            assert len(set(tokens)) == 1

    assert world.faults == []
    assert [form["grant_type"] for form, _ in world.asked] == ["authorization_code", *["refresh_token"] * 5]
    assert {form["resource"] for form, _ in world.asked} == {world.url}


async def test_nobody_waits_for_a_token_that_is_renewed_in_time() -> None:
    async with replicas() as (world, clock, _, (office,)):
        world.seconds = 100
        await office.connect("ada")
        first = await office.tokens.token("ada")

        clock.advance(91)
        meanwhile = await office.tokens.token("ada")
        await asyncio.gather(*office.tokens._tokens._asking.values())
        after = await office.tokens.token("ada")

    assert (first, meanwhile, after) == ("token-1", "token-1", "token-2")


async def test_a_refresh_token_that_is_refused_ends_the_consent_and_asks_for_another() -> None:
    async with replicas(2) as (world, clock, vault, (here, there)):
        await here.connect("ada")
        world.end_refreshes()

        clock.advance(301)
        for replica in (here, there):
            with pytest.raises(ConsentError):
                await replica.tokens.token("ada")

        assert await vault.credential_issuers("ada", "git") == ()
        await there.connect("ada")
        assert world.holders[await here.tokens.token("ada")] == "ada"
    assert len(world.faults) == 1


async def test_a_token_that_cannot_be_renewed_is_used_to_its_end_and_then_the_user_is_asked() -> None:
    async with replicas() as (world, clock, _, (office,)):
        world.gives_refresh = False
        await office.connect("ada")

        clock.advance(299)
        last = await office.tokens.token("ada")
        clock.advance(2)
        with pytest.raises(ConsentError, match="has ended"):
            await office.tokens.token("ada")

    assert last == "token-1"


async def test_while_the_authorization_server_is_away_the_consent_is_kept_and_asked_about_with_pauses() -> None:
    async with replicas() as (world, clock, _, (office,)):
        await office.connect("ada")
        world.token_status = 503

        clock.advance(301)
        for _ in range(3):
            with pytest.raises(CredentialError, match="refused the gateway") as raised:
                await office.tokens.token("ada")
        world.token_status = 200
        clock.advance(PAUSE_SECONDS)
        token = await office.tokens.token("ada")

    assert not isinstance(raised.value, ConsentError)
    assert world.holders[token] == "ada"
    assert len(world.asked) == 3


async def test_a_token_that_the_server_refuses_before_its_time_is_renewed_once_and_then_given_up_for_a_moment() -> None:
    async with replicas() as (_, clock, _, (office,)):
        await office.connect("ada")
        first = await office.tokens.token("ada")

        assert office.tokens.refused("ada", first, 401, PLAIN, again=False)
        second = await office.tokens.token("ada")
        with pytest.raises(CredentialError, match="refuses the user's token"):
            office.tokens.refused("ada", second, 401, PLAIN, again=True)
        with pytest.raises(CredentialError, match="refuses the user's token"):
            await office.tokens.token("ada")
        clock.advance(PAUSE_SECONDS)

        assert (first, second, await office.tokens.token("ada")) == ("token-1", "token-2", "token-2")


async def test_a_server_that_wants_more_scopes_has_the_user_asked_for_all_of_them_and_the_others_go_on() -> None:
    async with replicas(2) as (world, _, _, (here, there)):
        world.resource = {"scopes_supported": ["read"]}
        await here.connect("ada")
        token = await here.tokens.token("ada")

        assert here.tokens.refused("ada", token, 403, WRITE, again=False)
        still = await here.tokens.token("ada")
        with pytest.raises(ConsentError, match="more than the user has agreed to"):
            here.tokens.refused("ada", still, 403, WRITE, again=True)
        await here.tokens.noted("ada")
        await there.connect("ada")

    assert [page.get("scope") for page in world.pages] == ["read", "read write"]
    assert still == token


async def test_who_has_just_agreed_to_more_elsewhere_is_not_asked_again_here_and_not_without_end() -> None:
    async with replicas(2) as (_, _, _, (here, there)):
        await here.connect("ada")
        for replica in (here, there):
            token = await replica.tokens.token("ada")
        with pytest.raises(ConsentError):
            there.tokens.refused("ada", token, 403, WRITE, again=True)
        await there.connect("ada")

        assert here.tokens.refused("ada", token, 403, WRITE, again=False)
        better = await here.tokens.token("ada")
        with pytest.raises(CredentialError) as raised:
            here.tokens.refused("ada", better, 403, WRITE, again=True)

    assert (token, better) == ("token-1", "token-2")
    assert not isinstance(raised.value, ConsentError)


async def test_a_thousand_calls_that_lack_a_scope_have_that_noted_once() -> None:
    async with replicas() as (_, _, vault, (office,)):
        await office.connect("ada")
        token = await office.tokens.token("ada")

        for _ in range(1000):
            with pytest.raises(ConsentError):
                office.tokens.refused("ada", token, 403, WRITE, again=True)
        under_way = len(office.tokens._noting)
        await office.tokens.noted("ada")
        kept = read_agreement(await vault.credential("ada", "git", office.world.origin))

    assert under_way == 1
    assert kept is not None
    assert kept.wanted == ("write",)


async def test_more_scopes_than_configured_are_not_asked_for() -> None:
    async with replicas(auth={"scopes": ("read",)}) as (world, _, _, (office,)):
        await office.connect("ada")
        token = await office.tokens.token("ada")

        with pytest.raises(CredentialError) as raised:
            office.tokens.refused("ada", token, 403, WRITE, again=True)

    assert not isinstance(raised.value, ConsentError)
    assert [page["scope"] for page in world.pages] == ["read"]


async def test_a_refusal_that_is_not_about_authorization_is_an_answer() -> None:
    async with replicas() as (_, _, _, (office,)):
        assert not office.tokens.refused("ada", "x", 403, PLAIN, again=False)


async def test_what_a_user_takes_back_is_noticed_by_other_replicas_within_a_while() -> None:
    async with replicas(2) as (world, clock, _, (here, there)):
        await here.connect("ada")
        await there.tokens.token("ada")

        assert await here.consents.drop("ada") == ""
        with pytest.raises(ConsentError):
            await here.tokens.token("ada")
        clock.advance(LOOK_SECONDS)
        await there.tokens.token("ada")
        await asyncio.gather(*there.tokens._tokens._asking.values(), return_exceptions=True)
        with pytest.raises(ConsentError):
            await there.tokens.token("ada")

    assert world.revoked == ["refresh-1"]


async def test_what_is_renewed_while_the_user_takes_it_back_does_not_come_back() -> None:
    async with replicas() as (world, clock, vault, (office,)):
        await office.connect("ada")
        clock.advance(301)
        asking = world._token

        async def dropped_meanwhile(request: Any) -> Any:
            answer = await asking(request)
            await vault.drop_credential("ada", "git", world.origin)
            return answer

        world._token = dropped_meanwhile  # type: ignore[method-assign]
        with pytest.raises(ConsentError):
            await office.tokens.token("ada")

        assert await vault.credential_issuers("ada", "git") == ()


class Gate:
    """A Vault whose answer to the first question for a credential is read, and comes when it may."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault, name)

    async def credential(self, principal: str, server: str, issuer: str) -> bytes | None:
        value = await self._vault.credential(principal, server, issuer)
        if not self.asked.is_set():
            self.asked.set()
            await self.may_answer.wait()
        return value


@pytest.mark.parametrize("had", [True, False])
async def test_who_looks_while_the_user_decides_does_not_hold_for_long_what_was_before(had: bool) -> None:
    async with replicas() as (world, clock, vault, (other,)):
        if had:
            await other.connect("ada")
        gate = Gate(vault)
        office = ConsentOffice(world, gate, clock)
        early = asyncio.create_task(office.tokens.token("ada"))
        await gate.asked.wait()

        if had:
            assert await office.consents.drop("ada") == ""
        else:
            await office.connect("ada")
        gate.may_answer.set()
        await asyncio.wait([early])

        if had:
            assert early.result() == "token-1"
            with pytest.raises(ConsentError):
                await office.tokens.token("ada")
        else:
            assert isinstance(early.exception(), ConsentError)
            assert world.holders[await office.tokens.token("ada")] == "ada"


async def test_the_lists_are_read_as_nobody_until_the_operator_agrees_and_callers_never_are() -> None:
    async with replicas() as (world, _, _, (office,)):
        lists, nobody = office.tokens.for_lists(), office.tokens.of("")

        assert await lists.authorization() == ""
        with pytest.raises(ConsentError, match="only1mcp connect git --for-lists"):
            lists.refused("", 401, ["Bearer"], again=False)
        await office.connect("", "operator")

        assert world.holders[(await lists.authorization()).removeprefix("Bearer ")] == "operator"
        with pytest.raises(CredentialError, match="not known who calls"):
            await nobody.authorization()


async def test_tokens_for_another_server_or_of_another_issuer_are_not_used() -> None:
    async with replicas() as (world, clock, vault, (office,)):
        await office.connect("ada")
        moved = ConsentOffice(world, vault, clock, world.users(resource="https://other.example/mcp"))

        with pytest.raises(ConsentError):
            await moved.tokens.token("ada")
        renamed = ConsentOffice(world, vault, clock, backend="other")
        with pytest.raises(ConsentError):
            await renamed.tokens.token("ada")


async def test_tokens_of_a_client_that_the_gateway_is_no_more_are_not_renewed_with_anothers_secret() -> None:
    async with replicas(auth={"client_id": "gw", "client_secret": "s3cret"}) as (world, clock, vault, (office,)):
        await office.connect("ada")
        world.registered["new"] = {}
        new = world.users(client_id="new", client_secret="other", issuer=world.origin)

        clock.advance(301)
        with pytest.raises(ConsentError):
            await ConsentOffice(world, vault, clock, new).tokens.token("ada")

    assert len(world.asked) == 1


async def test_neither_logs_nor_reasons_hold_a_token() -> None:
    with capture_logs() as logs:
        async with replicas() as (world, clock, _, (office,)):
            await office.connect("ada")
            world.end_refreshes()
            clock.advance(301)
            with pytest.raises(ConsentError) as raised:
                await office.tokens.token("ada")

    said = f"{logs} {raised.value}"
    assert not any(secret in said for secret in ("token-1", "refresh-1", "code-1", "s3cret"))


users = st.sampled_from(["ada", "bob", "eve"])
steps = st.tuples(st.sampled_from(["connect", "call", "drop", "end", "later", "refuse"]), users, st.integers(0, 1))


@settings(max_examples=25, deadline=None)
@given(st.lists(steps, max_size=14))
def test_whatever_happens_nobody_ever_has_the_token_of_another_or_after_taking_it_back(
    story: list[tuple[str, str, int]],
) -> None:
    asyncio.run(_live(story))


async def _live(story: list[tuple[str, str, int]]) -> None:
    async with replicas(2) as (world, clock, _, offices):
        agreed: set[str] = set()
        owner: dict[str, str] = {}
        for step, user, number in story:
            office = offices[number]
            if step == "connect":
                await office.connect(user)
                agreed.add(user)
            elif step == "drop":
                for each in offices:
                    assert await each.consents.drop(user) == ""
                agreed.discard(user)
            elif step == "end":
                world.end_refreshes()
            elif step == "later":
                clock.advance(301)
            else:
                try:
                    token = await office.tokens.token(user)
                except ConsentError:
                    continue
                assert user in agreed
                owner.update(world.holders)
                assert owner[token] == user
                if step == "refuse":
                    office.tokens.refused(user, token, 401, PLAIN, again=False)
        assert all("twice" not in fault for fault in world.faults)


def test_consents_outlive_the_vault_and_lie_there_encrypted(tmp_path: Path) -> None:
    holder = asyncio.run(_restart(tmp_path / "vault"))

    assert holder == "ada"
    for file in tmp_path.iterdir():
        assert b"token-1" not in file.read_bytes()
        assert b"refresh-1" not in file.read_bytes()


async def _restart(path: Path) -> str:
    box, clock = VaultBox(path), HandClock()
    async with consent_world() as world:
        await ConsentOffice(world, box.start(), clock).connect("ada")
        office = ConsentOffice(world, box.start(), clock)
        return world.holders[await office.tokens.token("ada")]
