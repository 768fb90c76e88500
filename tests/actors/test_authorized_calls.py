"""Calls to a server that wants tokens: each goes out as whom it should, and never as somebody else."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.connect import connections
from actors.core.credential_settings import CredentialKind
from actors.core.endpoints import HttpEndpoint
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.principal import Kind, Principal
from actors.core.settings import BackendSettings, Isolation
from actors.transports.authorization import CredentialError
from tests.actors.test_token_source import Statements
from tests.support.backends import World, backend_to
from tests.support.token_world import TokenWorld, token_world
from tests.support.vault import VaultBox

ISSUER = "https://gw.example"
ADA, BOB = (Principal(subject=name, issuer=ISSUER, kind=Kind.TOKEN).key for name in ("ada", "bob"))


@asynccontextmanager
async def backend_of(tokens: TokenWorld, subjects: Any = None, **auth: Any) -> AsyncIterator[World]:
    """A Backend whose server is that of these tokens."""
    credentials = tokens.settings(**auth)
    isolation = Isolation.PRINCIPAL if credentials.is_per_principal else Isolation.SHARED
    settings = BackendSettings(name="git", endpoint=HttpEndpoint(url=tokens.url), auth=credentials, isolation=isolation)
    ways = connections(settings, subjects or Statements(), VaultBox(None).start())
    async with backend_to(
        transports=ways.connect,
        transports_as=ways.connect_as,
        endpoint=settings.endpoint,
        auth=credentials,
        isolation=isolation,
    ) as world:
        yield world


async def call_as(world: World, principal: str, who: str = "") -> Any:
    return await world.call(name="whoami", arguments={"who": who or principal}, principal=principal)


def holder(outcome: Any) -> str:
    assert isinstance(outcome, Reply), outcome
    return str(json.loads(outcome.body)["content"][0]["text"])


async def test_with_client_credentials_everyone_calls_as_the_gateway() -> None:
    async with token_world() as tokens, backend_of(tokens) as world:
        assert holder(await call_as(world, ADA)) == "the gateway"
        assert holder(await call_as(world, BOB)) == "the gateway"

    assert len(tokens.asked) == 1
    assert tokens.refused == 0


async def test_two_hundred_shuffled_calls_of_two_users_each_go_out_as_their_own_user() -> None:
    order = [ADA, BOB] * 100
    random.Random(7).shuffle(order)
    async with token_world() as tokens, backend_of(tokens, kind=CredentialKind.TOKEN_EXCHANGE) as world:
        outcomes = await asyncio.gather(*(call_as(world, principal) for principal in order))
        tokens.end_tokens()  # all at once are refused, and each gets a token of their own again
        again = await asyncio.gather(*(call_as(world, principal) for principal in order))

    assert [holder(outcome) for outcome in outcomes] == order
    assert [holder(outcome) for outcome in again] == order
    assert len(tokens.seen) == 400
    assert all(who == by for who, by in tokens.seen)


async def test_a_token_that_ended_before_its_time_is_replaced_once_and_no_call_is_lost() -> None:
    async with token_world() as tokens, backend_of(tokens) as world:
        await call_as(world, ADA)
        tokens.end_tokens()

        outcome = await call_as(world, ADA)

    assert holder(outcome) == "the gateway"
    assert tokens.refused == 1
    assert len(tokens.asked) == 2


async def test_a_server_that_takes_no_token_is_asked_twice_and_its_refusal_is_not_relayed() -> None:
    async with token_world() as tokens, backend_of(tokens) as world:
        tokens.holder_of = lambda form: "x"  # type: ignore[method-assign]
        tokens.needs = ("never",)
        tokens.end_tokens()
        with capture_logs() as logs:
            outcomes = [await call_as(world, ADA) for _ in range(5)]
        load = world.backend.load()

    kinds = {outcome.kind for outcome in outcomes if isinstance(outcome, Failure)}
    assert kinds == {FailureKind.UNAUTHORIZED}
    assert FailureKind.UNAUTHORIZED.value == "upstream_unauthorized"
    assert tokens.refused == 2
    assert "s3cret" not in str(outcomes) + str(logs)
    assert load.breaker.value == "closed"


async def test_one_user_without_a_token_says_nothing_about_another() -> None:
    class OnlyAda(Statements):
        async def statement(self, principal: str, issuers: tuple[str, ...], audience: str) -> str:
            if principal != ADA:
                raise CredentialError("not known there")
            return await super().statement(principal, issuers, audience)

    async with token_world() as tokens, backend_of(tokens, OnlyAda(), kind=CredentialKind.TOKEN_EXCHANGE) as world:
        ada, bob, nobody = [await call_as(world, each) for each in (ADA, BOB, "anonymous:0::anonymous")]

    assert holder(ada) == ADA
    for outcome in (bob, nobody):
        assert outcome == Failure(FailureKind.UNAUTHORIZED, "git", "not known there")
    assert {by for _, by in tokens.seen} == {ADA}


async def test_a_server_that_wants_more_scopes_gets_a_token_with_them() -> None:
    async with token_world() as tokens, backend_of(tokens) as world:
        await call_as(world, ADA)
        tokens.end_tokens()
        tokens.needs = ("write",)
        tokens.challenge = 'Bearer error="insufficient_scope", scope="write"'

        outcome = await call_as(world, ADA)

    assert holder(outcome) == "the gateway"
    assert tokens.asked[-1][0]["scope"] == "write"


@pytest.mark.parametrize("scopes", [(), ("read",)])
async def test_more_scopes_than_configured_are_not_asked_for(scopes: tuple[str, ...]) -> None:
    async with token_world() as tokens, backend_of(tokens, scopes=scopes) as world:
        await call_as(world, ADA)
        tokens.end_tokens()
        tokens.needs = ("admin",)
        tokens.challenge = 'Bearer error="insufficient_scope", scope="admin"'

        outcome = await call_as(world, ADA)

    asked = [form.get("scope") for form, _ in tokens.asked]
    if scopes:
        assert isinstance(outcome, Failure)
        assert asked == ["read"]
    else:
        assert isinstance(outcome, Reply)
        assert asked == [None, "admin"]
