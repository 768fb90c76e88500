"""The gateway as a client of the conformance tool: one gateway in front of every scenario, called in both eras.

The scenarios run once, all behind the same gateway; each test then looks at one verdict.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from tests.support.conformance_actions import ACTIONS, CALL_SECONDS, connect
from tests.support.conformance_client import client_run
from tests.support.conformance_tool import ConformanceTool, Verdict, report
from tests.support.gateway_process import gateway

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

SCENARIOS = {
    "2025-11-25": [
        "initialize",
        "tools_call",
        "elicitation-sep1034-client-defaults",
        "sse-retry",
        "json-schema-2020-12-preservation",
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
    ],
}
"""What is not about authorization, by the revision that the tool speaks to the gateway."""

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
def verdicts(tool: ConformanceTool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[Case, Verdict]]:
    with ExitStack() as stack:
        runs = {}
        for case in CASES:
            folder = tmp_path_factory.mktemp("scenario")
            runs[case] = stack.enter_context(client_run(tool, case.scenario, case.revision, folder))
        told = {case: run.told() for case, run in runs.items()}
        servers = {case.backend: {"url": url} for case, (url, _) in told.items()}
        mishaps = {}
        with gateway(tmp_path_factory.mktemp("client"), servers) as running:
            for case, run in runs.items():
                url, context = running.server_url(case.backend), told[case][1]
                mishaps[case] = [await_action(case.scenario, url, mode, context) for mode in MODES]
                run.dismiss()
        yield {case: run.verdict(*filter(None, mishaps[case])) for case, run in runs.items()}


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
