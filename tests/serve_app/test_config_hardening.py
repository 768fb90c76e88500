"""What a file says of sandboxes and of definitions: read, and refused where this machine cannot keep it."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from actors.core.endpoints import StdioEndpoint
from actors.core.hidden_text import HiddenText
from actors.core.sandbox_settings import Network, SandboxSettings
from actors.core.screening import Pin
from tests.support.config_files import HTTP, STDIO, load_tree, problems_of_server


def test_a_sandbox_is_read(tmp_path: Path) -> None:
    sandbox = {"inherit_env": ["NAMED"], "memory": 1 << 30, "cpu_seconds": 60, "files": 64, "file_size": 0}

    (backend,) = load_tree(
        tmp_path, {"mcpServers": {"a": {**STDIO, "sandbox": sandbox}}}, {"NAMED": "x"}
    ).settings.backends

    assert isinstance(backend.endpoint, StdioEndpoint)
    assert backend.endpoint.sandbox == SandboxSettings(
        inherit_env=("NAMED",), memory=1 << 30, cpu_seconds=60, files=64, file_size=0
    )


@pytest.mark.parametrize(
    ("sandbox", "problem"),
    [
        ({"inherit_env": ["NOWHERE"]}, "sandbox.inherit_env: names the variable NOWHERE, which is not set"),
        ({"user": "no-such-user"}, "sandbox.user: is no user of this machine"),
        ({"memory": 5}, "sandbox.memory: must be 16777216 to 1125899906842624"),
        ({"network": "some"}, "sandbox.network: must be 'host' or 'none'"),
        ({"memroy": 1 << 30}, "sandbox.memroy: is not a setting; did you mean 'memory'?"),
        ("none", "sandbox: must be a mapping of names to values"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_a_sentence(tmp_path: Path, sandbox: Any, problem: str) -> None:
    assert problems_of_server(tmp_path, {**STDIO, "sandbox": sandbox}) == [problem]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="of root on Linux")
def test_root_is_told_that_a_limit_of_processes_does_not_bind_it(tmp_path: Path) -> None:
    assert problems_of_server(tmp_path, {**STDIO, "sandbox": {"processes": 10}}) == [
        "sandbox.processes: does not bind root: say `user`, too"
    ]


def test_what_the_machine_refuses_when_it_is_tried_is_refused_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.transports.confinement.__file__", str(tmp_path / "gone.py"))

    (problem,) = problems_of_server(tmp_path, {**STDIO, "sandbox": {"network": Network.NONE.value}})

    assert problem.startswith("sandbox.sandbox: cannot be had on this machine") or sys.platform != "linux"


def test_a_server_elsewhere_has_no_sandbox(tmp_path: Path) -> None:
    assert problems_of_server(tmp_path, {**HTTP, "sandbox": {}}) == ["sandbox: belongs to a server with a command"]


@pytest.mark.parametrize(
    ("written", "pin"), [(True, Pin.ON), (False, Pin.OFF), ("warn", Pin.WARN), ("on", Pin.ON), (None, Pin.OFF)]
)
def test_definitions_are_pinned_or_watched(tmp_path: Path, written: object, pin: Pin) -> None:
    entry = HTTP if written is None else {**HTTP, "pin": written, "hidden_characters": "strip"}

    (backend,) = load_tree(tmp_path, {"mcpServers": {"a": entry}}).settings.backends

    assert backend.pin is pin
    assert backend.hidden_characters is (HiddenText.FLAG if written is None else HiddenText.STRIP)
