"""The tool, the servers it talks to, and one gateway in front of them: each is started once."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.conformance_tool import ConformanceTool
from tests.support.gateway_process import GatewayProcess, gateway, module
from tests.support.processes import Listening, listening

SERVER = "tests.support.conformance_server"


@pytest.fixture(scope="package")
def tool() -> ConformanceTool:
    return ConformanceTool()


@pytest.fixture(scope="package")
def alone() -> Iterator[dict[str, Listening]]:
    """The conformance server over HTTP, by the eras it speaks."""
    with ExitStack() as stack:
        yield {
            era: stack.enter_context(listening(SERVER, "--http", "0", "--era", era))
            for era in ("both", "legacy", "modern")
        }


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory, alone: dict[str, Listening]) -> Iterator[GatewayProcess]:
    """A gateway in front of the same servers, and of one more over stdio."""
    servers = {
        "conf": {"url": alone["both"].url},
        "conf_legacy": {"url": alone["legacy"].url},
        "conf_modern": {"url": alone["modern"].url},
        "conf_stdio": module(SERVER, "--stdio"),
    }
    # what is added to it for each scenario finds a process that runs
    sections = {"server": {"density": 16}}
    with gateway(tmp_path_factory.mktemp("conformance"), servers, sections=sections) as process:
        yield process
