import pytest

from actors.core.blocks import may_have_newer


@pytest.mark.parametrize(
    ("revision", "found"),
    [("2024-11-05", True), ("2025-03-26", False), ("2025-06-18", False), ("2026-07-28", False)],
)
def test_only_revisions_without_audio_are_looked_at_for_it(revision, found):
    assert may_have_newer(revision, b'{"type":"audio"}') is found
