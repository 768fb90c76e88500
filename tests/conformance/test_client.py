"""The gateway as a client of the conformance tool: one gateway in front of every scenario, called in both eras.

The scenarios run once, all behind the same gateway; each test then looks at one verdict.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.conformance_actions import ACTIONS, CALL_SECONDS, connect
from tests.support.conformance_client import client_run
from tests.support.conformance_tool import ConformanceTool, Verdict, report
from tests.support.gateway_process import READY_SECONDS, GatewayProcess, await_line
from tests.support.processes import eventually

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

SCENARIOS = {
    "2025-11-25": [
        "initialize",
        "tools_call",
        "elicitation-sep1034-client-defaults",
        "sse-retry",
        "json-schema-2020-12-preservation",
        "auth/client-credentials-basic",
        "auth/client-credentials-jwt",
    ],
    "2026-07-28": [
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
        "auth/client-credentials-basic",
        "auth/client-credentials-jwt",
    ],
}
"""By the revision that the tool speaks to the gateway. Other scenarios about authorization are in
`test_user_authorization.py`, or `tests/README.md` says why not."""

MODES = ("legacy", "auto")
"""The eras in which the gateway is called, one after the other: a scenario has to stand both."""


class Case(NamedTuple):
    """One scenario at one revision."""

    scenario: str
    revision: str

    @property
    def backend(self) -> str:
        return f"s{CASES.index(self)}"


CASES = [Case(scenario, revision) for revision, scenarios in SCENARIOS.items() for scenario in scenarios]


@pytest.fixture(scope="module")
def verdicts(
    tool: ConformanceTool, running: GatewayProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[Case, Verdict]]:
    with ExitStack() as stack:
        runs = {}
        for case in CASES:
            folder = tmp_path_factory.mktemp("scenario")
            runs[case] = stack.enter_context(client_run(tool, case.scenario, case.revision, folder))
        told = {case: run.told() for case, run in runs.items()}
        servers = {
            case.backend: {"url": url, **credentials(case.scenario, url, context)}
            for case, (url, context) in told.items()
        }
        mishaps = {}
        with added_to(running, servers):
            for case, run in runs.items():
                url, context = running.server_url(case.backend), told[case][1]
                mishaps[case] = [await_action(case.scenario, url, mode, context) for mode in MODES]
                run.dismiss()
        yield {case: run.verdict(*filter(None, mishaps[case])) for case, run in runs.items()}


def credentials(scenario: str, url: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration has beside the URL: `auth`, where the scenario is about that."""
    if not scenario.startswith("auth/"):
        return {}
    auth = {"kind": "client_credentials", "client_id": context["client_id"]}
    if "private_key_pem" in context:
        return {"auth": {**auth, "private_key": context["private_key_pem"], "algorithm": context["signing_algorithm"]}}
    origin, _, path = url.removesuffix("/").rpartition("/")
    said = httpx.get(f"{origin}/.well-known/oauth-protected-resource/{path}").raise_for_status().json()
    return {"auth": {**auth, "client_secret": context["client_secret"], "issuer": said["authorization_servers"][0]}}


@contextmanager
def added_to(running: GatewayProcess, servers: Mapping[str, dict[str, Any]]) -> Iterator[None]:
    """Have the gateway serve these as well, as long as the block lasts."""
    original = running.configured
    running.configure({**original, **servers})
    await_line(running, f"reloaded: {len(servers)} added")

    def all_up() -> bool:
        page = httpx.get(f"{running.origin}/health").json()
        return bool(page["backends"] == dict.fromkeys(("up", "total"), len(original) + len(servers)))

    asyncio.run(eventually(all_up, READY_SECONDS))
    try:
        yield
    finally:
        running.configure(original)


def await_action(scenario: str, url: str, mode: str, context: Mapping[str, Any]) -> str | None:
    """Do what the scenario wants through the gateway, as a client of one era; what went wrong, if anything did."""

    async def act() -> None:
        async with asyncio.timeout(2 * CALL_SECONDS), connect(url, mode) as client:
            await ACTIONS[scenario](client, context)

    try:
        asyncio.run(act())
    except Exception as error:  # noqa: BLE001 - it belongs into the verdict of this scenario, the others go on
        return f"as a client of mode {mode}: {error!r}"
    return None


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_gateway_is_a_client_as_the_tool_wants_it(verdicts: Mapping[Case, Verdict], case: Case) -> None:
    wrong = verdicts[case].troubles

    assert not wrong, report({case.scenario: wrong})


@pytest.mark.parametrize("revision", SCENARIOS)
def test_no_scenario_that_is_demanded_of_a_client_is_left_out(tool: ConformanceTool, revision: str) -> None:
    demanded = {name for name in tool.required(revision, "client") if not name.startswith("auth/")}

    assert demanded <= set(SCENARIOS[revision])
