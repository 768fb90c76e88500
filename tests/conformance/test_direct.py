"""The conformance server by itself: what the gateway is measured by has to be right first."""

from pathlib import Path

import pytest

from tests.support.conformance_tool import ConformanceTool, report, troubles
from tests.support.processes import Listening

pytestmark = pytest.mark.conformance

UNSCORED = {
    "2025-11-25": ["server-session-lifecycle", "server-sse-polling", "json-schema-2020-12"],
    "2026-07-28": ["json-schema-2020-12", "http-custom-header-server-validation"],
}
"""What the tool runs beyond the requirements, and the server can do."""

SCORES = [
    ("both", "2025-11-25", 30),
    ("both", "2026-07-28", 37),
    ("legacy", "2025-11-25", 30),
    ("modern", "2026-07-28", 37),
]


@pytest.mark.parametrize(("era", "revision", "score"), SCORES)
def test_the_server_alone_meets_every_requirement_of_its_revisions(
    tool: ConformanceTool, alone: dict[str, Listening], tmp_path: Path, era: str, revision: str, score: int
) -> None:
    required = tool.required(revision, "server")

    verdicts = tool.judge_server(alone[era].url, tmp_path, "--requirements", revision)

    assert len(required) == score
    wrong = troubles(verdicts, [*required, *UNSCORED[revision]])
    assert not wrong, report(wrong)


@pytest.mark.parametrize("revision", ["2025-03-26", "2025-06-18"])
def test_the_server_alone_passes_whatever_the_tool_knows_of_older_revisions(
    tool: ConformanceTool, alone: dict[str, Listening], tmp_path: Path, revision: str
) -> None:
    verdicts = tool.judge_server(alone["both"].url, tmp_path, "--suite", "all", "--spec-version", revision)

    wrong = troubles(verdicts, verdicts)
    assert not wrong, report(wrong)


def test_the_tool_finds_fault_with_a_server_of_the_wrong_era(
    tool: ConformanceTool, alone: dict[str, Listening], tmp_path: Path
) -> None:
    required = tool.required("2026-07-28", "server")

    verdicts = tool.judge_server(alone["legacy"].url, tmp_path, "--requirements", "2026-07-28")

    assert "server-stateless" in troubles(verdicts, required)
