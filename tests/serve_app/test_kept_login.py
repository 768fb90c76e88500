"""What a login leaves on the machine of the person."""

from pathlib import Path

import pytest

from serve_app.login.fresh_token import fresh_token
from serve_app.login.gateway_door import DoorError
from serve_app.login.kept_login import (
    KeptError,
    KeptLogin,
    alone,
    gateway_of,
    login_path,
    read_login,
    remove_login,
    write_login,
)
from serve_app.stdio.endpoint import GatewayGone
from serve_app.stdio.login_token import LoginToken
from tests.support.hand_clock import HandClock

GATEWAY = "http://127.0.0.1:1"
"""Nobody listens there."""

NOW = 1_800_000_000.0
LOGIN = KeptLogin(GATEWAY, "corp", "client", "corp:ada", "the-access", NOW + 900, "the-refresh")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logins"


def keep(folder: Path, login: KeptLogin = LOGIN) -> Path:
    path = login_path(GATEWAY, folder)
    with alone(path):
        write_login(path, login)
    return path


def test_a_login_is_kept_as_it_was_and_for_its_user_alone(folder: Path) -> None:
    path = keep(folder)

    assert read_login(path) == LOGIN
    assert {each.stat().st_mode & 0o077 for each in (folder, *folder.iterdir())} == {0}
    assert "the-access" not in repr(LOGIN)
    assert "the-refresh" not in repr(LOGIN)


def test_a_removed_login_is_gone_and_may_be_removed_again(folder: Path) -> None:
    path = keep(folder)

    remove_login(path)
    remove_login(path)

    assert read_login(path) is None


def test_a_login_that_others_could_have_written_is_not_believed(folder: Path) -> None:
    path = keep(folder)
    path.chmod(0o644)

    with pytest.raises(KeptError, match="this user alone"):
        read_login(path)


def test_a_folder_that_others_can_enter_takes_no_login(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)

    with pytest.raises(KeptError, match="this user alone"):
        keep(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[1]", b'{"gateway": "\xff"}'])
def test_a_file_that_holds_something_else_is_no_login(folder: Path, content: bytes) -> None:
    path = keep(folder)
    path.write_bytes(content)

    with pytest.raises(KeptError, match="something else"):
        read_login(path)


def test_each_gateway_has_a_login_of_its_own_whatever_its_path(folder: Path) -> None:
    assert gateway_of("https://Gateway.example/servers/git/mcp") == gateway_of("https://gateway.example")
    assert login_path("https://gateway.example", folder) != login_path("https://gateway.example:8443", folder)


def test_a_token_that_lasts_is_used_without_asking_anybody(folder: Path) -> None:
    keep(folder)

    assert fresh_token(GATEWAY, HandClock(NOW + 800), folder) == "the-access"
    assert fresh_token("http://127.0.0.1:2", HandClock(NOW), folder) is None


def test_while_the_gateway_is_away_a_token_is_used_to_its_end_and_no_further(folder: Path) -> None:
    path = keep(folder)

    assert fresh_token(GATEWAY, HandClock(NOW + 880), folder) == "the-access"
    with pytest.raises(DoorError, match="nobody answers"):
        fresh_token(GATEWAY, HandClock(NOW + 900), folder)

    assert read_login(path) == LOGIN


async def test_a_bridge_uses_the_login_and_says_when_it_cannot_be_renewed(folder: Path) -> None:
    clock, monotonic = HandClock(NOW), HandClock(0.0)
    token = LoginToken(GATEWAY, clock, monotonic, folder)
    assert await token() is None

    keep(folder)
    monotonic.advance(60.0)

    assert await token() == "the-access"
    clock.advance(1000.0)
    monotonic.advance(60.0)
    with pytest.raises(GatewayGone, match="nobody answers"):
        await token()
