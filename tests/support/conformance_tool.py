"""The official conformance tool: its version is pinned in `tests/conformance`, its verdicts are read check by check."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from tests.support.npm import NODE, installed
from tests.support.processes import ROOT

PROJECT: Final = ROOT / "tests" / "conformance"

SECONDS: Final = 90.0
"""For one run of the tool: alone it takes three, but a scenario that hangs waits for its own limits."""

_FOLDER: Final = re.compile(r"(?:server-)?(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")
"""How the tool names the folder of a scenario's results; that of `auth/x` lies in another."""


@dataclass(frozen=True)
class Check:
    """What the tool says about one requirement."""

    id: str
    status: str
    """`SUCCESS`, `FAILURE`, `WARNING`, `SKIPPED` or `INFO`."""
    message: str


@dataclass(frozen=True)
class Verdict:
    """What the tool says about one scenario."""

    scenario: str
    checks: tuple[Check, ...]

    @property
    def wrong(self) -> tuple[Check, ...]:
        """The broken requirements; a warning, which the tool gives for a broken SHOULD, counts as well."""
        return tuple(check for check in self.checks if check.status in ("FAILURE", "WARNING"))

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong, in words."""
        return tuple(f"{check.status} {check.id}: {check.message}" for check in self.wrong)

    @property
    def judged(self) -> frozenset[tuple[str, str]]:
        """Each check with its status: what to compare two runs by."""
        return frozenset((check.id, check.status) for check in self.checks if check.status != "INFO")


Verdicts = Mapping[str, Verdict]


def troubles(verdicts: Verdicts, scenarios: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """What is wrong, by scenario; nothing if all of them ran and passed."""
    found = {name: verdicts[name].troubles if name in verdicts else ("it did not run",) for name in scenarios}
    return {name: wrong for name, wrong in found.items() if wrong}


def report(wrong: Mapping[str, Iterable[str]]) -> str:
    """What is wrong, for a reader."""
    return "\n".join(f"{name}\n" + "\n".join(f"    {line}" for line in lines) for name, lines in wrong.items())


class ConformanceTool:
    """The tool, installed."""

    def __init__(self) -> None:
        self._package = installed(PROJECT) / "@modelcontextprotocol" / "conformance"

    def required(self, revision: str, side: Literal["server", "client"]) -> list[str]:
        """The scenarios which a revision demands of a server or a client, as the tool has frozen them."""
        requirements = yaml.safe_load((self._package / "requirements" / f"{revision}.yaml").read_text())
        return list(requirements[side])

    def judge_server(self, url: str, folder: Path, *selection: str) -> Verdicts:
        """Run scenarios against a server; `selection` is what the tool's command line calls it.

        Raises:
            subprocess.TimeoutExpired: the tool took longer than `SECONDS`.
            AssertionError: it ran nothing; with what it printed.
        """
        command = [*self._command("server"), "--url", url, *selection, "--output-dir", str(folder)]
        run = subprocess.run(command, timeout=SECONDS, capture_output=True, text=True)
        verdicts = read_verdicts(folder)
        assert verdicts, f"{' '.join(command)}\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}"
        return verdicts

    def client_command(self, client: str, scenario: str, revision: str, folder: Path, seconds: float) -> list[str]:
        """The command that runs a client scenario: the tool serves, and starts `client` with its URL appended.

        Args:
            client: a shell command, split at blanks.
            scenario: what the client is to do.
            revision: what the tool speaks.
            folder: where the results go.
            seconds: how long the client may run.
        """
        options = ["--command", client, "--scenario", scenario, "--spec-version", revision, "--force"]
        return [*self._command("client"), *options, "--timeout", str(int(seconds * 1000)), "--output-dir", str(folder)]

    def _command(self, side: str) -> list[str]:
        return [str(NODE), str(self._package / "dist" / "index.js"), side]


def read_verdicts(folder: Path) -> dict[str, Verdict]:
    """The verdicts in a folder of results, by scenario."""
    verdicts = {}
    for file in folder.rglob("*Z"):
        match = _FOLDER.fullmatch(file.relative_to(folder).as_posix())
        if match is not None:
            verdicts[match["scenario"]] = _verdict(match["scenario"], file / "checks.json")
    return verdicts


def _verdict(scenario: str, file: Path) -> Verdict:
    if not file.exists():
        return Verdict(scenario, (Check(scenario, "FAILURE", "it broke off"),))
    checks: list[dict[str, Any]] = json.loads(file.read_text())
    return Verdict(
        scenario,
        tuple(
            Check(check["id"], check["status"], check.get("errorMessage") or check.get("description") or "")
            for check in checks
        ),
    )
