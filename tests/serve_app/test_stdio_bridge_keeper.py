"""What stands between a guardian and a gateway."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.stdio import gateway_keeper
from tests.support.processes import is_there

KEEPER = [sys.executable, "-I", "-S", gateway_keeper.__file__]


def kept(script: str) -> subprocess.Popen[bytes]:
    command = [*KEEPER, "/bin/sh", "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)


def test_a_signal_to_the_group_reaches_the_command_and_none_of_its_children() -> None:
    keeper = kept('trap "echo ended; exit 3" TERM; sleep 60 >/dev/null & echo $!; wait')
    assert keeper.stdout is not None
    child = int(keeper.stdout.readline())

    os.killpg(keeper.pid, signal.SIGTERM)
    said = keeper.stdout.read()
    code = keeper.wait(10)
    left = is_there(child)
    os.kill(child, signal.SIGKILL)

    assert (said, code, left) == (b"ended\n", 3, True)


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 2", 2), ("kill -KILL $$", 137)])
def test_the_exit_code_is_that_of_the_command(script: str, code: int) -> None:
    assert kept(script).wait(10) == code


def test_a_command_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    ended = subprocess.run([*KEEPER, str(tmp_path / "none")], capture_output=True, timeout=10, check=False)

    assert ended.returncode != 0
