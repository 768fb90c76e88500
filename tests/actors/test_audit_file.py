"""The writer of the log: what is on disk after every kind of mishap."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.audit_file import HEAD_GONE, HEAD_LEFT
from actors.audit_folder import AuditError, all_files, files_before, head_path, key_path, lines_of
from actors.audit_lock import check_writable
from actors.core.audit.verification import Broken, Verified
from tests.support.audit import Disk, batch, log_at, verdict


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.jsonl"


def events_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["event"] for file in all_files(path) for line in lines_of(file)]


def names_of(path: Path) -> list[str]:
    return [event["name"] for event in events_of(path) if event["kind"] == "call"]


def test_what_is_written_is_a_good_log_that_others_cannot_read(path: Path) -> None:
    log = log_at(path)

    lines = log.append(batch("a", "b"))
    log.append(batch("c", sequence=2))

    assert [json.loads(line)["event"]["name"] for line in lines] == ["a", "b"]
    assert verdict(path) == Verified(4, 1, 4)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_batch_that_comes_again_is_not_written_again_even_after_a_restart(path: Path) -> None:
    log = log_at(path)
    log.append(batch("a", "b"))
    again = log.append(batch("a", "b"))
    log.append(batch("x", source="ingress:2"))
    log.close()

    log = log_at(path)
    log.append(batch("a", "b"))
    log.append(batch("x", source="ingress:2"))
    log.append(batch("c", sequence=2))
    log.append(batch("a", "b"))

    assert again == ()
    assert names_of(path) == ["a", "b", "x", "c"]


def test_a_batch_of_which_a_part_is_written_is_completed(path: Path) -> None:
    log = log_at(path)
    log.append(batch("a", "b", "c"))
    log.close()
    lines = list(lines_of(path))
    path.write_bytes(b"".join(lines[:3]))  # the header, a and b
    head_path(path).unlink()

    log = log_at(path)
    log.append(batch("a", "b", "c"))

    assert names_of(path) == ["a", "b", "c"]


def test_files_follow_one_another_in_one_chain_and_the_oldest_go(path: Path) -> None:
    log = log_at(path, max_bytes=2000, keep_files=2)
    for number in range(1, 60):
        log.append(batch(f"tool-{number}", sequence=number))

    before = files_before(path)
    found = verdict(path)

    assert len(before) == 2
    assert isinstance(found, Verified), found
    assert found.first == before[0][0] > 1
    assert all(file.stat().st_size <= 2500 for file in all_files(path))
    assert names_of(path)[-1] == "tool-59"


def test_a_file_that_was_to_be_kept_is_missed(path: Path) -> None:
    log = log_at(path, max_bytes=2000, keep_files=5)
    for number in range(1, 30):
        log.append(batch(f"tool-{number}", sequence=number))
    files = files_before(path)

    files[0][1].unlink()
    first_gone = verdict(path)
    files[2][1].unlink()
    another_gone = verdict(path)

    assert isinstance(first_gone, Broken)
    assert "were to be kept" in first_gone.why
    assert isinstance(another_gone, Broken)
    assert "follows a gap" in another_gone.why


def test_none_but_the_one_that_is_written_is_kept_if_that_is_wanted(path: Path) -> None:
    log = log_at(path, max_bytes=1024, keep_files=0)
    for number in range(1, 20):
        log.append(batch(f"tool-{number}", sequence=number))

    assert all_files(path) == [path]
    assert isinstance(verdict(path), Verified)


@given(cut=st.integers(1, 400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_after_a_crash_in_the_middle_of_a_write_the_log_goes_on_and_says_so(tmp_path: Path, cut: int) -> None:
    path = tmp_path / str(cut) / "audit.jsonl"
    log = log_at(path)
    log.append(batch("a"))
    whole = path.read_bytes()
    log.append(batch("b", sequence=2))
    log.close()
    written = path.read_bytes()
    path.write_bytes(written[: max(len(whole) + 1, len(written) - cut)])  # what a dying writer left of the last line

    log = log_at(path)
    log.append(batch("b", sequence=2))
    log.close()

    torn = [event for event in events_of(path) if event["kind"] == "torn"]
    assert isinstance(verdict(path), Verified)
    assert names_of(path) == ["a", "b"]
    assert [written[len(whole) :].startswith(event["detail"].encode()) for event in torn] == [True]
    assert torn[0]["count"] == len(torn[0]["detail"])


def test_lines_that_the_head_names_and_that_are_gone_are_told_in_the_log(path: Path) -> None:
    log = log_at(path)
    log.append(batch("a", "b", "c"))
    log.close()
    path.write_bytes(b"".join(list(lines_of(path))[:-2]))
    broken = verdict(path)

    log_at(path).append(batch("d", sequence=2))

    losses = [event for event in events_of(path) if event["kind"] == "loss"]
    assert isinstance(broken, Broken)
    assert [(loss["count"], loss["detail"]) for loss in losses] == [(2, HEAD_LEFT)]
    assert verdict(path) == Verified(4, 1, 4, losses=2)


@pytest.mark.parametrize("head", [None, b"", b'{"seq":99,"last":"x","mac":"y"}'])
def test_a_head_that_is_missing_or_forged_is_told_in_the_log(path: Path, head: bytes | None) -> None:
    log = log_at(path)
    log.append(batch("a"))
    log.close()
    head_path(path).unlink()
    if head is not None:
        head_path(path).write_bytes(head)

    log_at(path).append(batch("b", sequence=2))

    assert [event["detail"] for event in events_of(path) if event["kind"] == "loss"] == [HEAD_GONE]


@pytest.mark.parametrize("room", [0, 1, 100, 300, 600])
def test_a_full_disk_is_told_and_leaves_no_half_lines_and_nothing_is_lost_once_there_is_room(
    path: Path, room: int
) -> None:
    disk = Disk()
    log = log_at(path, opener=disk.open)
    log.append(batch("a"))

    disk.room = room
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            log.append(batch("b", "c", "d", sequence=2))
    in_between = verdict(path)
    disk.room = None
    log.append(batch("b", "c", "d", sequence=2))

    assert in_between == Verified(2, 1, 2)
    assert names_of(path) == ["a", "b", "c", "d"]
    assert verdict(path) == Verified(5, 1, 5)


def test_a_disk_that_is_full_when_the_next_file_begins_breaks_nothing(path: Path) -> None:
    disk = Disk()
    log = log_at(path, max_bytes=1024, opener=disk.open)
    number = 1
    while path.stat().st_size < 900 if path.exists() else True:
        log.append(batch(f"tool-{number}", sequence=number))
        number += 1

    disk.room = 40
    with pytest.raises(OSError, match="No space left"):
        log.append(batch("x" * 200, sequence=number))
    disk.room = None
    log.append(batch("x" * 200, sequence=number))

    assert isinstance(verdict(path), Verified)
    assert len(names_of(path)) == number


def test_a_log_that_somebody_removes_while_it_is_written_is_begun_anew_and_says_what_is_missing(path: Path) -> None:
    log = log_at(path)
    log.append(batch("a", "b"))
    path.unlink()

    log.append(batch("c", sequence=2))

    assert [event["kind"] for event in events_of(path)] == ["file", "loss", "call"]
    assert events_of(path)[1]["count"] == 3


def test_two_gateways_do_not_write_one_log(path: Path) -> None:
    log = log_at(path)
    log.append(batch("a"))

    with pytest.raises(AuditError, match="another gateway"):
        log_at(path).append(batch("b", source="other"))
    with pytest.raises(AuditError, match="another gateway"):
        check_writable(path)
    log.close()
    check_writable(path)


def test_a_log_without_its_key_is_not_continued(path: Path) -> None:
    log = log_at(path)
    log.append(batch("a"))
    log.close()
    key_path(path).unlink()

    with pytest.raises(AuditError, match="is gone"):
        check_writable(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(AuditError, match="cannot be written"):
            check_writable(tmp_path / "audit" / "audit.jsonl")
    finally:
        tmp_path.chmod(0o700)


def test_a_place_where_no_file_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(AuditError, match="cannot be written"):
        check_writable(tmp_path / "file" / "audit.jsonl")
