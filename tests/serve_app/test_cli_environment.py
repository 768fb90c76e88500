"""The environment of a cluster's node."""

import io
import os
import stat
import subprocess
from pathlib import Path

import pytest

from serve_app.cli.environment import environment
from serve_app.environment import FAST_SERVE, haproxy_available


def test_a_shell_that_evaluates_the_lines_has_the_variables(tmp_path: Path) -> None:
    out = io.StringIO()

    code = environment(out, tmp_path)
    shell = subprocess.run(["sh", "-c", f"{out.getvalue()}\nenv"], capture_output=True, text=True, check=True)

    assert code == 0
    assert {f"{name}={value}" for name, value in FAST_SERVE.items()} <= set(shell.stdout.splitlines())
    if haproxy_available():
        assert "RAY_SERVE_ENABLE_HA_PROXY=1" in shell.stdout.splitlines()


def test_the_folder_is_closed_to_other_users_and_may_be_there_already(tmp_path: Path) -> None:
    environment(io.StringIO(), tmp_path)
    environment(io.StringIO(), tmp_path)

    (folder,) = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_others_can_enter_is_not_used(tmp_path: Path) -> None:
    (tmp_path / f"o1m-node-{os.getuid()}").mkdir()
    (tmp_path / f"o1m-node-{os.getuid()}").chmod(0o755)

    with pytest.raises(PermissionError, match="does not belong to this user alone"):
        environment(io.StringIO(), tmp_path)
