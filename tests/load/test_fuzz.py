"""The command that feeds spoilt input in large numbers."""

import pytest

from load.fuzz import main
from tests.fuzz.targets import TARGETS


def test_a_run_tells_of_every_target_and_of_its_share(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--count", "200", "--seed", "7"])

    seed, _, *lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert seed == "seed 7"
    assert [line.split()[:2] for line in lines] == [[name, str(share.of(200))] for name, share in TARGETS.items()]
