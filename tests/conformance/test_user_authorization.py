"""The gateway's side towards servers as a client of the conformance tool, where a person has to agree on a page.

A Backend stands for itself here, without the command around it, and a script for the person: it opens the page that it
is told to open, of which the tool's authorization server sends it back at once.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from actors.connect import connections
from actors.core.consent import ConsentBegun
from actors.core.credential_settings import CredentialKind, CredentialSettings
from actors.core.endpoints import HttpEndpoint
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind
from actors.core.settings import BackendSettings, Isolation
from actors.vault import Vault
from tests.actors.test_authorized_calls import ADA
from tests.actors.test_token_source import Statements
from tests.support.backends import World, backend_to
from tests.support.conformance_client import client_run
from tests.support.conformance_tool import ConformanceTool, report
from tests.support.processes import eventually
from tests.support.vault import VaultBox

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(120)]

OPERATOR = ""
BACK = "http://127.0.0.1:49152/callback"
DOCUMENT = "https://conformance-test.local/client-metadata.json"
"""Where the tool takes a document about the client to be."""

BOTH = (
    "metadata-default",
    "metadata-var1",
    "metadata-var2",
    "metadata-var3",
    "basic-cimd",
    "scope-from-www-authenticate",
    "scope-from-scopes-supported",
    "scope-omitted-when-undefined",
    "scope-step-up",
    "scope-retry-limit",
    "token-endpoint-auth-basic",
    "token-endpoint-auth-post",
    "token-endpoint-auth-none",
    "pre-registration",
)
SCENARIOS = {
    "2025-11-25": BOTH,
    "2026-07-28": (
        *BOTH,
        "resource-mismatch",
        "offline-access-scope",
        "offline-access-not-supported",
        "authorization-server-migration",
        "iss-supported",
        "iss-not-advertised",
        "iss-supported-missing",
        "iss-wrong-issuer",
        "iss-unexpected",
        "iss-normalized",
        "metadata-issuer-mismatch",
    ),
}
"""By the revision that the tool speaks. Those of 2025-03-26 are not here: they are about addresses of an authorization
server that a client makes up where no metadata names them, and the gateway sends nobody to a made-up address."""

MOST_TIMES = 3
"""A person is asked, before they lose patience."""

SETTLE_SECONDS = 2.0
"""A server that is started again is up within it, or wants something else."""


class Case(NamedTuple):
    """One scenario at one revision."""

    scenario: str
    revision: str


CASES = [Case(f"auth/{name}", revision) for revision, names in SCENARIOS.items() for name in names]


@asynccontextmanager
async def backend_of(url: str, context: Mapping[str, Any]) -> AsyncIterator[tuple[World, Vault]]:
    """A Backend to the tool's server, as the scenario has it configured."""
    auth: dict[str, Any] = {"kind": CredentialKind.USER}
    if "client_id" in context:
        origin, _, path = url.removesuffix("/").rpartition("/")
        async with httpx.AsyncClient() as client:
            said = (await client.get(f"{origin}/.well-known/oauth-protected-resource/{path}")).json()
        auth |= {key: context[key] for key in ("client_id", "client_secret")}
        auth["issuer"] = said["authorization_servers"][0]
    credentials, endpoint, vault = CredentialSettings(**auth), HttpEndpoint(url=url), VaultBox(None).start()
    settings = BackendSettings(name="git", endpoint=endpoint, auth=credentials, isolation=Isolation.PRINCIPAL)
    ways = connections(settings, Statements(), vault)
    async with backend_to(
        transports=ways.connect,
        transports_as=ways.connect_as,
        consents=ways.consents,
        endpoint=endpoint,
        auth=credentials,
        isolation=Isolation.PRINCIPAL,
    ) as world:
        yield world, vault


async def agree(world: World, principal: str) -> bool:
    """Open the page and bring back what comes; whether there was one, and it was enough."""
    begun = await world.backend.begin_consent(principal, BACK, DOCUMENT)
    if not isinstance(begun, ConsentBegun):
        return False
    async with httpx.AsyncClient() as browser:
        page = await browser.get(begun.url)
    answer = {name: values[0] for name, values in parse_qs(urlsplit(page.headers["location"]).query).items()}
    state, code, issuer = (answer.get(name, "") for name in ("state", "code", "iss"))
    return await world.backend.finish_consent(principal, state, code, issuer) == ""


async def act(url: str, context: Mapping[str, Any]) -> None:
    """Be the operator, who agrees to the lists being read, and then, with the same tokens, a user who calls a tool."""
    async with backend_of(url, context) as (world, vault):
        for _ in range(MOST_TIMES):
            if not _lacks_consent(world):
                break
            if not await agree(world, OPERATOR):
                return
            with suppress(AssertionError):  # it may want another one
                await eventually(lambda: not _lacks_consent(world), SETTLE_SECONDS)
        for issuer in await vault.credential_issuers(OPERATOR, "git"):
            value = await vault.credential(OPERATOR, "git", issuer)
            assert value is not None
            await vault.put_credential(ADA, "git", issuer, value)
        listing = world.backend.status().listing
        tools = () if listing is None else listing.tools
        for _ in range(MOST_TIMES if tools else 0):
            outcome = await world.call(name=tools[0].identity, arguments={}, principal=ADA)
            wants_consent = isinstance(outcome, Failure) and outcome.kind is FailureKind.CONSENT
            if not wants_consent or not await agree(world, ADA):
                break


def _lacks_consent(world: World) -> bool:
    """Whether the server is down because the operator has not agreed, or must again."""
    status = world.backend.status()
    return status.state is not ReplicaState.UP and "--for-lists" in status.detail


@pytest.mark.parametrize("case", CASES, ids="-".join)
async def test_whoever_has_to_agree_is_asked_as_the_tool_wants_it(
    tool: ConformanceTool, case: Case, tmp_path: Path
) -> None:
    with client_run(tool, *case, tmp_path) as run:
        url, context = await asyncio.to_thread(run.told)
        await act(url, context)
        run.dismiss()
        wrong = (await asyncio.to_thread(run.verdict)).troubles

    assert not wrong, report({case.scenario: wrong})


@pytest.mark.parametrize("revision", SCENARIOS)
def test_no_scenario_about_authorization_that_is_demanded_of_a_client_is_left_out(
    tool: ConformanceTool, revision: str
) -> None:
    demanded = {name.removeprefix("auth/") for name in tool.required(revision, "client") if name.startswith("auth/")}

    assert demanded <= set(SCENARIOS[revision])
