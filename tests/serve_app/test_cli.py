"""The command line, as far as it goes without Ray."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from actors.core.identity import VERSION
from serve_app.cli.main import main
from tests.support.processes import ROOT


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"only1mcp {VERSION}\n"


@pytest.mark.parametrize("arguments", [[], ["walk"], ["validate"], ["run", "--port"], ["key", "extra"]])
def test_a_command_that_is_none_explains_itself(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: only1mcp" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x", "", "8o80", "\u0661", "9" * 5000])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", f"--port={port}"])

    assert ended.value.code == 2
    assert "a port is a number from 1 to 65535" in capsys.readouterr().err


def test_a_run_that_cannot_be_ends_with_its_code_and_sentence_before_ray_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", "--config", str(tmp_path / "none.yaml")])

    assert code == 2
    assert "none.yaml" in capsys.readouterr().err


def test_a_good_configuration_is_described_and_a_bad_one_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "only1mcp.json"
    path.write_text(json.dumps({"mcpServers": {"time": {"url": "http://127.0.0.1:1/mcp"}}}))
    good = main(["validate", str(path)])
    said = capsys.readouterr().out
    path.write_text("{}")
    bad = main(["validate", str(path)])

    assert (good, bad) == (0, 2)
    assert "time" in said


def test_a_key_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key"]) == 0
    assert "sha256:" in capsys.readouterr().out


def test_commands_that_need_no_ray_do_not_load_it() -> None:
    program = "import sys, serve_app.cli.main as m; m.main(['key']); sys.exit('ray' in sys.modules)"

    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60, check=False)

    assert ended.returncode == 0
