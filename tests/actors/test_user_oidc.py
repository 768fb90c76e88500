"""Users agree at a certified authorization server, and a server of the official SDK takes their tokens as theirs."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import jwt
import msgspec
import pytest
from mcp.server.auth.provider import AccessToken

from actors.connect import connections
from actors.core.consent import ConsentBegun
from actors.core.credential_settings import CredentialKind, CredentialSettings
from actors.core.endpoints import HttpEndpoint
from actors.core.membership import ReplicaState
from actors.core.oauth.agreement import read_agreement
from actors.core.outcome import Failure, FailureKind
from actors.core.settings import BackendSettings, Isolation
from actors.vault import Vault
from tests.actors.test_authorized_calls import ADA, BOB, call_as, holder
from tests.actors.test_token_source import Statements
from tests.support.backends import World, backend_to
from tests.support.oidc_provider import Person, oidc_provider
from tests.support.processes import eventually
from tests.support.sdk_guarded import Verifier, guarded_sdk_server
from tests.support.vault import VaultBox

BACK = "http://127.0.0.1:49152/callback"
PEOPLE = {ADA: "ada", BOB: "bob", "": "operator"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider() as found:
        yield found


class IssuedVerifier(Verifier):
    """Of tokens that the authorization server has signed."""

    def __init__(self, issuer: str) -> None:
        super().__init__()
        self._keys = jwt.PyJWKClient(f"{issuer}/jwks")
        self._issuer = issuer

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)
            said = jwt.decode(token, key, ["RS256"], {"verify_aud": False}, issuer=self._issuer)
        except jwt.PyJWTError:
            return None
        self.subjects.append(said["sub"])
        scopes = said.get("scope", "").split()
        return AccessToken(token=token, client_id="gw", scopes=scopes, resource=said["aud"], subject=said["sub"])


@asynccontextmanager
async def replicas(issuer: str, era: str) -> AsyncIterator[tuple[Vault, list[World]]]:
    """Two of one backend, with one Vault."""
    vault = VaultBox(None).start()
    async with guarded_sdk_server(era, issuer, IssuedVerifier(issuer)) as url:
        endpoint = HttpEndpoint(url=url)
        auth = CredentialSettings(kind=CredentialKind.USER)
        settings = BackendSettings(name="git", endpoint=endpoint, auth=auth, isolation=Isolation.PRINCIPAL)

        def backend() -> AsyncIterator[World]:
            ways = connections(settings, Statements(), vault)
            return backend_to(
                transports=ways.connect,
                transports_as=ways.connect_as,
                consents=ways.consents,
                endpoint=endpoint,
                auth=auth,
                isolation=Isolation.PRINCIPAL,
            )

        async with backend() as here, backend() as there:
            yield vault, [here, there]


async def agree(begin_at: World, finish_at: World, principal: str) -> str:
    begun = await begin_at.backend.begin_consent(principal, BACK)
    assert isinstance(begun, ConsentBegun), begun
    person = Person(PEOPLE[principal])
    await asyncio.to_thread(person.browse, begun.url, until=BACK)
    answer = {name: values[0] for name, values in parse_qs(urlsplit(person.seen[-1]).query).items()}
    assert answer["state"] == begun.state
    return await finish_at.backend.finish_consent(principal, answer["state"], answer["code"], answer.get("iss", ""))


@pytest.mark.parametrize("era", ["legacy", "both"])
async def test_two_users_agree_at_one_replica_and_call_over_the_other_each_as_themselves(issuer: str, era: str) -> None:
    order = [ADA, BOB] * 10
    random.Random(5).shuffle(order)
    async with replicas(issuer, era) as (_, (here, there)):
        assert await agree(here, there, "") == ""
        await eventually(lambda: there.backend.status().state is ReplicaState.UP)
        wanting = await call_as(there, ADA)
        for principal in (ADA, BOB):
            assert await agree(here, there, principal) == ""

        outcomes = await asyncio.gather(*(call_as(there, principal) for principal in order))
        assert await there.backend.drop_consent(ADA) == ""
        after = await call_as(there, ADA)

    assert wanting == Failure(FailureKind.CONSENT, "git", "no consent yet")
    assert [holder(outcome) for outcome in outcomes] == [PEOPLE[principal] for principal in order]
    assert after == wanting


async def test_a_token_that_is_over_is_renewed_there_once_by_two_replicas(issuer: str) -> None:
    async with replicas(issuer, "both") as (vault, worlds):
        for principal in ("", ADA):
            assert await agree(worlds[0], worlds[1], principal) == ""
        for world in worlds:
            await eventually(lambda world=world: world.backend.status().state is ReplicaState.UP)
        key = (ADA, "git", issuer)
        agreement = read_agreement(await vault.credential(*key))
        assert agreement is not None
        over = msgspec.structs.replace(agreement, expires_at=0.0)
        await vault.put_credential(*key, msgspec.msgpack.encode(over))

        outcomes = await asyncio.gather(*(call_as(world, ADA) for world in worlds * 5))
        renewed = read_agreement(await vault.credential(*key))

    assert {holder(outcome) for outcome in outcomes} == {"ada"}
    assert renewed is not None
    assert renewed.refresh != agreement.refresh
    assert renewed.access != agreement.access
