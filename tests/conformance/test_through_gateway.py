"""The conformance server through the gateway: whatever it scores alone, it has to score behind it.

Each backend is asked in both eras. Where the server is of the other era, the gateway bridges.
"""

from pathlib import Path

import pytest

from tests.support.conformance_tool import ConformanceTool, report, troubles
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import Listening

pytestmark = pytest.mark.conformance

SCORES = {"2025-11-25": 30, "2026-07-28": 37}

UNSCORED = {
    "2025-11-25": ["server-session-lifecycle", "server-sse-polling", "json-schema-2020-12"],
    "2026-07-28": ["json-schema-2020-12", "http-header-validation", "http-custom-header-server-validation"],
}
"""What the tool runs beyond the requirements, and we demand as well."""

IMPOSSIBLE = {
    "conf_legacy-2026-07-28": {
        # looks for a key that the server gave its question: in the handshake era questions have none
        "input-required-result-basic-elicitation",
        # wants three questions in one answer: this server waits for each answer before it asks on
        "input-required-result-multiple-input-requests",
        # answers what was never asked: a server of the handshake era takes answers to its questions only
        "input-required-result-ignore-extra-params",
    },
}
"""What cannot be bridged, by backend and revision."""

ON_THE_AGGREGATE = {
    "2025-11-25": [
        "server-initialize",
        "server-session-lifecycle",
        "logging-set-level",
        "ping",
        "tools-list",
        "resources-list",
        "prompts-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
    ],
    "2026-07-28": [
        "tools-list",
        "resources-list",
        "prompts-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "caching",
        "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods",
        "http-header-validation",
        "http-custom-header-server-validation",
    ],
}
"""The scenarios which do not depend on the names of tools, prompts and resources."""

NAMED_CHECKS = {
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-server-no-log-without-loglevel",
    "sep-2575-server-sends-prompts-list-changed-on-subscription",
    "sep-2575-server-sends-tools-list-changed-on-subscription",
}
"""The checks of `server-stateless` which call a tool by its name."""


@pytest.mark.parametrize("revision", SCORES)
@pytest.mark.parametrize("backend", ["conf", "conf_legacy", "conf_modern", "conf_stdio"])
def test_a_server_behind_the_gateway_meets_every_requirement(
    tool: ConformanceTool, running: GatewayProcess, tmp_path: Path, backend: str, revision: str
) -> None:
    required = tool.required(revision, "server")

    verdicts = tool.judge_server(running.server_url(backend), tmp_path, "--requirements", revision)

    wrong = troubles(verdicts, [*required, *UNSCORED[revision]])
    assert len(required) == SCORES[revision]
    unexpected = {name: wrong[name] for name in wrong.keys() - IMPOSSIBLE.get(f"{backend}-{revision}", set())}
    assert not unexpected, report(unexpected)


@pytest.mark.parametrize("revision", ["2025-03-26", "2025-06-18"])
def test_older_revisions_get_the_same_verdicts_as_from_the_server_alone(
    tool: ConformanceTool, running: GatewayProcess, alone: dict[str, Listening], tmp_path: Path, revision: str
) -> None:
    selection = ("--suite", "all", "--spec-version", revision)

    direct = tool.judge_server(alone["both"].url, tmp_path / "alone", *selection)
    through = tool.judge_server(running.server_url("conf"), tmp_path / "through", *selection)

    assert {name: verdict.judged for name, verdict in through.items()} == {
        name: verdict.judged for name, verdict in direct.items()
    }


@pytest.mark.parametrize("revision", SCORES)
def test_the_aggregate_passes_whatever_does_not_depend_on_names(
    tool: ConformanceTool, running: GatewayProcess, tmp_path: Path, revision: str
) -> None:
    verdicts = tool.judge_server(running.url, tmp_path, "--requirements", revision)

    wrong = troubles(verdicts, ON_THE_AGGREGATE[revision])
    assert not wrong, report(wrong)


def test_the_aggregate_is_stateless_as_far_as_that_can_be_seen_without_names(
    tool: ConformanceTool, running: GatewayProcess, tmp_path: Path
) -> None:
    verdicts = tool.judge_server(running.url, tmp_path, "--scenario", "server-stateless")

    wrong = [check for check in verdicts["server-stateless"].wrong if check.id not in NAMED_CHECKS]
    assert wrong == []
