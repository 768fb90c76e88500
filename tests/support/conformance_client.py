"""Client scenarios of the conformance tool under way, with a driver in the client's place."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.support import conformance_driver
from tests.support.conformance_tool import Check, ConformanceTool, Verdict, read_verdicts
from tests.support.processes import ROOT, stop

CLIENT_SECONDS: Final = 200.0
"""How long a driver stays: all scenarios start together, before the gateway does."""

END_SECONDS: Final = 20.0
"""From its driver's end until the tool has judged."""


class ClientRun:
    """One scenario, from its start to its verdict."""

    def __init__(self, scenario: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.scenario = scenario
        self._folder = folder
        self._process = process

    def told(self, seconds: float = 30.0) -> tuple[str, dict[str, Any]]:
        """Wait for what the tool told its client: the URL to connect to, and the context of the scenario.

        Raises:
            AssertionError: the tool ended, or said nothing in `seconds`.
        """
        deadline = time.monotonic() + seconds
        file = self._folder / conformance_driver.TOLD
        while not file.exists():
            assert self._process.poll() is None, f"the tool ended before {self.scenario} began"
            assert time.monotonic() < deadline, f"{self.scenario} did not begin"
            time.sleep(conformance_driver.POLL_SECONDS)
        told = json.loads(file.read_text())
        return told["url"], told["context"]

    def dismiss(self) -> None:
        """Let the driver end."""
        (self._folder / conformance_driver.DISMISSED).touch()

    def verdict(self, *mishaps: str) -> Verdict:
        """Wait for the verdict; mishaps of what was done in the client's place count against it.

        The tool ends only after the connections to it: close them first.
        """
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            stop(self._process)
        verdict = read_verdicts(self._folder).get(self.scenario)
        checks = (Check(self.scenario, "FAILURE", "it was not judged"),) if verdict is None else verdict.checks
        return Verdict(self.scenario, (*checks, *(Check("client", "FAILURE", mishap) for mishap in mishaps)))


@contextmanager
def client_run(tool: ConformanceTool, scenario: str, revision: str, folder: Path) -> Iterator[ClientRun]:
    """Start a scenario in an empty folder of its own; nothing of it is left when the block ends."""
    driver = f"{sys.executable} -S -E {conformance_driver.__file__} {folder} {CLIENT_SECONDS}"
    command = tool.client_command(driver, scenario, revision, folder, CLIENT_SECONDS)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run = ClientRun(scenario, folder, process)
    try:
        yield run
    finally:
        run.dismiss()
        stop(process)
