"""The folder of one run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.run_folder import PREFIX, run_folder


def dead_process() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(20)
    return process.pid


def test_a_run_has_a_folder_of_its_own_that_nobody_else_can_enter(tmp_path: Path) -> None:
    with run_folder(tmp_path) as one, run_folder(tmp_path) as other:
        assert one != other
        assert one.parent == tmp_path
        assert one.stat().st_mode & 0o777 == 0o700
        (one / "file").write_text("x")

    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_no_folder_either(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), run_folder(tmp_path):
        raise RuntimeError

    assert list(tmp_path.iterdir()) == []


def test_folders_of_runs_that_were_killed_are_removed_and_no_others(tmp_path: Path) -> None:
    dead = dead_process()
    (tmp_path / "elsewhere").mkdir()
    for name in (
        f"{PREFIX}{dead}-a",
        f"{PREFIX}{os.getpid()}-b",
        f"{PREFIX}1-c",
        f"{PREFIX}x-d",
        PREFIX,
        f"other-{dead}-e",
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / f"{PREFIX}{dead}-f").symlink_to(tmp_path / "elsewhere")

    with run_folder(tmp_path):
        left = {path.name for path in tmp_path.iterdir() if not path.is_symlink()}

    assert f"{PREFIX}{dead}-a" not in left
    assert {f"{PREFIX}{os.getpid()}-b", f"{PREFIX}1-c", f"{PREFIX}x-d", PREFIX, f"other-{dead}-e", "elsewhere"} <= left


def test_the_usual_folder_leaves_room_for_the_socket_of_haproxy() -> None:
    with run_folder() as folder:
        longest = folder / ("0" * 56) / "admin.sock"

        assert len(str(longest)) - len(str(os.getpid())) + len("4194304") <= 97
