"""A server of the official SDK that wants tokens takes those that the gateway gets for it, in both eras."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from actors.core.credential_settings import CredentialKind
from actors.core.outcome import Failure, FailureKind
from tests.actors.test_authorized_calls import ADA, BOB, backend_of, call_as, holder
from tests.support.sdk_guarded import Verifier, guarded_sdk_server, signed
from tests.support.token_world import TokenWorld, token_world

ERAS = ("legacy", "both")
"""Of a server that speaks both, the gateway chooses the modern one."""


@asynccontextmanager
async def guarded(era: str, verifier: Verifier) -> AsyncIterator[TokenWorld]:
    """An authorization server whose tokens such a server takes."""
    async with token_world() as tokens, guarded_sdk_server(era, tokens.origin, verifier) as url:
        tokens.url = url
        tokens.token_of = lambda form: signed(tokens.holder_of(form), form["resource"], form.get("scope", "mcp"))
        yield tokens


@pytest.mark.parametrize("era", ERAS)
async def test_what_the_server_says_of_itself_is_enough_to_call_as_the_gateway(era: str) -> None:
    verifier = Verifier()
    async with guarded(era, verifier) as tokens, backend_of(tokens, issuer=tokens.origin) as world:
        answer = holder(await call_as(world, ADA))

    assert answer == "the gateway"
    assert set(verifier.subjects) == {"the gateway"}
    form = tokens.asked[0][0]
    assert (form["resource"].rstrip("/"), form["scope"]) == (tokens.url, "mcp")


@pytest.mark.parametrize("era", ERAS)
async def test_sessions_and_tokens_of_two_users_never_meet(era: str) -> None:
    order = [ADA, BOB] * 20
    random.Random(3).shuffle(order)
    verifier = Verifier()
    async with (
        guarded(era, verifier) as tokens,
        backend_of(tokens, kind=CredentialKind.TOKEN_EXCHANGE, scopes=("mcp",)) as world,
    ):
        outcomes = await asyncio.gather(*(call_as(world, principal) for principal in order))

    assert [holder(outcome) for outcome in outcomes] == order
    assert set(verifier.subjects) == {ADA, BOB, "the gateway"}


@pytest.mark.parametrize("era", ERAS)
async def test_a_token_that_is_for_another_server_is_not_taken(era: str) -> None:
    async with (
        guarded(era, Verifier()) as tokens,
        backend_of(tokens, kind=CredentialKind.TOKEN_EXCHANGE, scopes=("mcp",)) as world,
    ):
        tokens.token_of = lambda form: signed(tokens.holder_of(form), "https://other.example/mcp")

        outcome = await call_as(world, ADA)

    assert outcome == Failure(FailureKind.UNAUTHORIZED, "git", "it refuses the gateway's token (401)")
