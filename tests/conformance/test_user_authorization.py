"""The gateway as an OAuth client of the conformance tool, where a person has to agree on a page.

For each scenario the tool is a server, and its authorization server, behind one running gateway. The tool's page sends
a browser back at once.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from actors.connect import connections
from actors.core.consent import FOR_LISTS, ConsentBegun
from actors.core.credential_settings import CredentialKind, CredentialSettings
from actors.core.endpoints import HttpEndpoint
from actors.core.settings import BackendSettings, Isolation
from tests.actors.test_token_source import Statements
from tests.support.conformance_client import client_run
from tests.support.conformance_tool import ConformanceTool, report
from tests.support.gateway_process import GatewayProcess
from tests.support.oidc_provider import Person
from tests.support.server_owner import CONNECTED, NOWHERE, ServerOwner, brought_back
from tests.support.vault import VaultBox

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

DOCUMENT = "https://conformance-test.local/client-metadata.json"
"""Where the tool takes a document about the client to be."""

BOTH = (
    "metadata-default",
    "metadata-var1",
    "metadata-var2",
    "metadata-var3",
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

CIMD = "basic-cimd"
"""At both revisions, and not with a running gateway: the tool knows the document by an address that it has made up,
and that of a gateway's is below its own public URL."""

MODES = {"2025-11-25": "legacy", "2026-07-28": "auto"}
"""How the client speaks: of the same era as the server."""

REFUSED = {
    "resource-mismatch": "about another resource",
    "iss-supported-missing": "does not say which authorization server",
    "iss-wrong-issuer": "of another authorization server",
    "iss-unexpected": "of another authorization server",
    "iss-normalized": "of another authorization server",
    "metadata-issuer-mismatch": "of another issuer",
}
"""Where nobody can be connected, and why the gateway says so."""

NEVER_ENOUGH = "scope-retry-limit"
"""Whatever is agreed to, the server wants more."""

MOST_TIMES = 3
"""An operator agrees, before they lose patience."""


class Case(NamedTuple):
    """One scenario at one revision."""

    scenario: str
    revision: str

    @property
    def backend(self) -> str:
        return f"u{CASES.index(self)}"


CASES = [Case(name, revision) for revision, names in SCENARIOS.items() for name in names]


def auth(url: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration says of credentials, as the scenario has it."""
    if "client_id" not in context:
        return {"kind": "user"}
    origin, _, path = url.removesuffix("/").rpartition("/")
    said = httpx.get(f"{origin}/.well-known/oauth-protected-resource/{path}").raise_for_status().json()
    client = {key: context[key] for key in ("client_id", "client_secret")}
    return {"kind": "user", "issuer": said["authorization_servers"][0], **client}


def act(owner: ServerOwner, scenario: str) -> None:
    """Be the operator, who agrees to the lists being read, and then a user, who is asked for it on the gateway's page.

    It is one consent for both, so where nothing else makes the gateway ask again it is taken back.
    """
    if scenario in REFUSED:
        assert owner.connect()
        assert REFUSED[scenario] in owner.connect_carelessly()
        return
    for _ in range(MOST_TIMES):
        if not owner.lacks_consent:
            break
        assert not owner.connect()
    if scenario == NEVER_ENOUGH:
        return
    assert owner.call()
    if not owner.shown:
        owner.disconnect()
        assert owner.call()
    assert [CONNECTED in page for page in owner.shown] == [True]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_whoever_has_to_agree_is_asked_as_the_tool_wants_it(
    tool: ConformanceTool, running: GatewayProcess, case: Case, tmp_path: Path
) -> None:
    with client_run(tool, f"auth/{case.scenario}", case.revision, tmp_path) as run:
        url, context = run.told()
        owner = ServerOwner(running, case.backend, MODES[case.revision])
        owner.add({"url": url, "auth": auth(url, context)})
        try:
            act(owner, case.scenario)
        finally:
            owner.remove()
        run.dismiss()
        wrong = run.verdict().troubles

    assert not wrong, report({case.scenario: wrong})


@pytest.mark.parametrize("revision", SCENARIOS)
async def test_a_document_about_the_gateway_is_named_where_one_is_taken(
    tool: ConformanceTool, revision: str, tmp_path: Path
) -> None:
    with client_run(tool, f"auth/{CIMD}", revision, tmp_path) as run:
        url, _ = await asyncio.to_thread(run.told)
        settings = BackendSettings(
            name="git",
            endpoint=HttpEndpoint(url=url),
            auth=CredentialSettings(kind=CredentialKind.USER),
            isolation=Isolation.PRINCIPAL,
        )
        consents = connections(settings, Statements(), VaultBox(None).start()).consents
        assert consents is not None
        begun = await consents.begin(FOR_LISTS, NOWHERE, DOCUMENT)
        assert isinstance(begun, ConsentBegun)
        said = await asyncio.to_thread(brought_back, Person("owner"), begun.url)
        fault = await consents.finish(FOR_LISTS, said["state"], said["code"], said["iss"])
        run.dismiss()
        wrong = (await asyncio.to_thread(run.verdict)).troubles

    assert not fault
    assert not wrong, report({CIMD: wrong})


@pytest.mark.parametrize("revision", SCENARIOS)
def test_no_scenario_about_authorization_that_is_demanded_of_a_client_is_left_out(
    tool: ConformanceTool, revision: str
) -> None:
    demanded = {name.removeprefix("auth/") for name in tool.required(revision, "client") if name.startswith("auth/")}

    assert demanded <= {CIMD, *SCENARIOS[revision]}
