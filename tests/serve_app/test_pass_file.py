"""The file that lets a user administrate their gateway, and nobody else."""

import os
import stat
from pathlib import Path

import pytest

from actors.core.settings import ServerSettings
from serve_app.admin.pass_file import Pass, PassError, new_pass, pass_path, passes, read_pass, remove_pass, write_pass

HELD = Pass("http://127.0.0.1:8080", "token", 7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return pass_path(8080, tmp_path / "admin")


def test_what_is_written_is_read_and_found_and_closed_to_others(path: Path) -> None:
    write_pass(path, HELD)

    assert read_pass(path) == HELD
    assert passes(path.parent) == [path]
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)] == [0o700, 0o600]
    assert [each.name for each in path.parent.iterdir()] == ["admin-8080.json"]


def test_no_two_gateways_have_one_token() -> None:
    tokens = {new_pass(ServerSettings(), 1).token for _ in range(10)}

    assert len(tokens) == 10
    assert min(map(len, tokens)) >= 43


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("gw.example", "http://gw.example:8080"),
    ],
)
def test_the_address_is_one_that_this_machine_reaches(host: str, url: str) -> None:
    assert new_pass(ServerSettings(host=host), 1).url == url


def test_a_folder_that_others_can_enter_is_not_written_into(path: Path) -> None:
    path.parent.mkdir(mode=0o755)

    with pytest.raises(PassError, match="does not belong to this user alone"):
        write_pass(path, HELD)

    assert list(path.parent.iterdir()) == []


def test_a_folder_behind_a_link_is_not_written_into(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    path.parent.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PassError):
        write_pass(path, HELD)


def test_a_file_that_others_can_read_is_not_trusted(path: Path) -> None:
    write_pass(path, HELD)
    path.chmod(0o644)

    with pytest.raises(PassError, match="does not belong to this user alone"):
        read_pass(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_trusted(path: Path) -> None:
    write_pass(path, HELD)
    os.chown(path, 12345, 12345)

    with pytest.raises(PassError, match="does not belong to this user alone"):
        read_pass(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"url": 5}', b"\xff", b'{"url": "\xff"}'])
def test_a_file_that_holds_something_else_is_said_to(path: Path, content: bytes) -> None:
    write_pass(path, HELD)
    path.write_bytes(content)

    with pytest.raises(PassError, match="holds something else"):
        read_pass(path)


def test_no_file_is_no_pass(path: Path) -> None:
    assert (read_pass(path), passes(path.parent)) == (None, [])


def test_the_pass_of_a_gateway_that_took_the_port_over_is_let_be(path: Path) -> None:
    newer = Pass(HELD.url, "another", 8)
    write_pass(path, newer)

    remove_pass(path, HELD)
    assert read_pass(path) == newer
    remove_pass(path, newer)
    assert read_pass(path) is None
    remove_pass(path, newer)
