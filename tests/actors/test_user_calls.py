"""Calls to a server whose users have credentials of their own: none before consent, and each as its own user after."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from structlog.testing import capture_logs

from actors.connect import connections
from actors.core.consent import ConsentBegun
from actors.core.endpoints import HttpEndpoint
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind
from actors.core.principal import ANONYMOUS
from actors.core.settings import BackendSettings, Isolation
from tests.actors.test_authorized_calls import ADA, BOB, call_as, holder
from tests.actors.test_token_source import Statements
from tests.support.backends import World, backend_to
from tests.support.consent_office import BACK
from tests.support.consent_world import ConsentWorld, consent_world
from tests.support.processes import eventually
from tests.support.vault import VaultBox

OPERATOR = ""


@asynccontextmanager
async def backend_of(tokens: ConsentWorld, **auth: Any) -> AsyncIterator[World]:
    """A Backend whose server is that of these tokens, with a Vault of its own."""
    credentials, endpoint = tokens.users(**auth), HttpEndpoint(url=tokens.url)
    settings = BackendSettings(name="git", endpoint=endpoint, auth=credentials, isolation=Isolation.PRINCIPAL)
    ways = connections(settings, Statements(), VaultBox(None).start())
    async with backend_to(
        transports=ways.connect,
        transports_as=ways.connect_as,
        consents=ways.consents,
        endpoint=endpoint,
        auth=credentials,
        isolation=Isolation.PRINCIPAL,
    ) as world:
        yield world


async def connect(world: World, tokens: ConsentWorld, principal: str, user: str = "") -> None:
    begun = await world.backend.begin_consent(principal, BACK)
    assert isinstance(begun, ConsentBegun), begun
    state, code, issuer = tokens.agree(begun.url, user or principal)
    assert await world.backend.finish_consent(principal, state, code, issuer) == ""


def is_up(world: World) -> bool:
    return world.backend.status().state is ReplicaState.UP


async def test_a_server_that_lists_nothing_for_nobody_says_what_to_do_and_is_there_right_after_that() -> None:
    async with consent_world() as tokens, backend_of(tokens) as world:
        before = world.backend.status()
        refused = await call_as(world, ADA)

        await connect(world, tokens, OPERATOR, "operator")
        await eventually(lambda: is_up(world))
        listing = world.backend.status().listing

    assert before.state is ReplicaState.DOWN
    assert "run `only1mcp connect git --for-lists`" in before.detail
    assert isinstance(refused, Failure)
    assert refused.kind is FailureKind.UNAVAILABLE
    assert listing is not None
    assert len(listing.tools) == 1


async def test_where_callers_are_not_told_apart_one_consent_is_for_the_lists_and_the_calls() -> None:
    async with consent_world() as tokens, backend_of(tokens) as world:
        await connect(world, tokens, ANONYMOUS.key, "ada")
        await eventually(lambda: is_up(world))

        answer = await call_as(world, ANONYMOUS.key)
        shared = await world.backend.has_consent(OPERATOR)
        dropped = await world.backend.drop_consent(ANONYMOUS.key)
        refused = await call_as(world, ANONYMOUS.key)

        assert holder(answer) == "ada"
        assert (shared, dropped) == (True, "")
        assert isinstance(refused, Failure)
        assert refused.kind is FailureKind.CONSENT


async def test_a_server_that_greets_everybody_and_lists_for_nobody_is_not_there_with_nothing() -> None:
    async with consent_world() as tokens:
        tokens.open = ("server/discover",)
        async with backend_of(tokens) as world:
            before = world.backend.status()
            await connect(world, tokens, OPERATOR, "operator")
            await eventually(lambda: is_up(world))
            listing = world.backend.status().listing

    assert before.state is ReplicaState.DOWN
    assert "--for-lists" in before.detail
    assert listing is not None
    assert len(listing.tools) == 1


async def test_a_call_without_consent_is_not_sent_and_the_next_one_after_it_is() -> None:
    async with consent_world() as tokens:
        tokens.open = ("server/discover", "tools/list")
        async with backend_of(tokens) as world:
            assert is_up(world)
            wanting = [await call_as(world, principal) for principal in (ADA, ADA, "anonymous:0::anonymous")]
            seen = list(tokens.seen)
            load = world.backend.load()
            await connect(world, tokens, ADA)

            answer = holder(await call_as(world, ADA))
            other = await call_as(world, BOB)

    assert wanting == [Failure(FailureKind.CONSENT, "git", "no consent yet")] * 3
    assert (seen, load.breaker.value) == ([], "closed")
    assert answer == ADA
    assert other == Failure(FailureKind.CONSENT, "git", "no consent yet")


async def test_two_hundred_shuffled_calls_of_two_users_each_go_out_as_their_own_user() -> None:
    order = [ADA, BOB] * 100
    random.Random(7).shuffle(order)
    async with consent_world() as tokens, backend_of(tokens) as world:
        await connect(world, tokens, OPERATOR, "operator")
        await eventually(lambda: is_up(world))
        for principal in (ADA, BOB):
            await connect(world, tokens, principal)

        outcomes = await asyncio.gather(*(call_as(world, principal) for principal in order))
        tokens.end_tokens()  # all at once are refused, and each is renewed
        again = await asyncio.gather(*(call_as(world, principal) for principal in order))

    assert [holder(outcome) for outcome in outcomes] == order
    assert [holder(outcome) for outcome in again] == order
    assert all(who == by for who, by in tokens.seen)
    assert tokens.faults == []


async def test_who_takes_the_consent_back_is_asked_again_and_nobody_else_is() -> None:
    async with consent_world() as tokens:
        tokens.open = ("server/discover", "tools/list")
        async with backend_of(tokens) as world:
            for principal in (ADA, BOB):
                await connect(world, tokens, principal)
                await call_as(world, principal)
            had = await world.backend.has_consent(ADA)

            assert await world.backend.drop_consent(ADA) == ""
            has = await world.backend.has_consent(ADA)
            ada, bob = await call_as(world, ADA), await call_as(world, BOB)

    assert (had, has) == (True, False)
    assert isinstance(ada, Failure)
    assert ada.kind is FailureKind.CONSENT
    assert holder(bob) == BOB
    assert len(tokens.revoked) == 1


async def test_a_server_that_wants_more_has_the_user_asked_again() -> None:
    async with consent_world() as tokens:
        tokens.open = ("server/discover", "tools/list")
        async with backend_of(tokens) as world:
            await connect(world, tokens, ADA)
            await call_as(world, ADA)
            tokens.end_tokens()
            tokens.challenge = 'Bearer error="insufficient_scope", scope="write"'

            wanting = await call_as(world, ADA)
            tokens.challenge = ""
            await connect(world, tokens, ADA)
            answer = await call_as(world, ADA)

    assert wanting == Failure(FailureKind.CONSENT, "git", "it wants more than the user has agreed to")
    assert tokens.pages[-1]["scope"] == "write"
    assert holder(answer) == ADA


async def test_a_server_without_such_users_has_nothing_to_agree_to() -> None:
    async with consent_world() as tokens:
        endpoint = HttpEndpoint(url=tokens.url)
        ways = connections(BackendSettings(name="git", endpoint=endpoint), Statements(), VaultBox(None).start())
        async with backend_to(transports=ways.connect, endpoint=endpoint) as world:
            declined = await world.backend.begin_consent(ADA, BACK)
            said = [await world.backend.finish_consent(ADA, "s", "c", ""), await world.backend.drop_consent(ADA)]

            assert not isinstance(declined, ConsentBegun)
            assert {declined.reason, *said} == {
                "callers of this server have no credentials of their own there (`auth: {kind: user}`)"
            }
            assert not await world.backend.has_consent(ADA)


async def test_no_log_holds_a_token_a_code_or_a_page() -> None:
    with capture_logs() as logs:
        async with consent_world() as tokens, backend_of(tokens) as world:
            await connect(world, tokens, OPERATOR, "operator")
            await connect(world, tokens, ADA)
            await call_as(world, ADA)
            await world.backend.drop_consent(ADA)

    said = str(logs)
    assert "consent_given" in said
    assert not any(word in said for word in ("token-", "refresh-", "code-1", "state="))
