"""The commands `connect`, `disconnect` and `connections`, in front of the admin API over HTTP."""

import io
import json
import os
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import platformdirs
import pytest
from structlog.testing import capture_logs

from serve_app.admin.pass_file import Pass, pass_path, write_pass
from serve_app.cli import connection_arguments, connections
from serve_app.cli.desk import Desk
from serve_app.cli.main import main
from serve_app.login.redirect import RedirectError
from tests.support.admin_office import PRINCIPALS, TOKEN, Office, listening, verify
from tests.support.connect_office import AS, ConnectOffice, connection_routes, queried

BOB = PRINCIPALS["user"].key


@pytest.fixture
def connect() -> ConnectOffice:
    return ConnectOffice()


@pytest.fixture(autouse=True)
def url(connect: ConnectOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The only gateway of this user, who is `bob` there."""
    monkeypatch.setattr(platformdirs, "user_state_path", lambda _: tmp_path)
    monkeypatch.setattr(platformdirs, "user_config_path", lambda _: tmp_path)
    monkeypatch.setenv("ONLY1MCP_TOKEN", "user")
    office = Office(verify=verify, more=connection_routes(connect, verify))
    with capture_logs(), listening(office) as port:
        write_pass(pass_path(port), Pass(f"http://127.0.0.1:{port}", TOKEN, os.getpid()))
        yield f"http://127.0.0.1:{port}"


def agree(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Have browsers agree to everything: what they bring back is right but for `changes`."""

    def browse(page: str) -> None:
        asked = queried(page)
        answer = {"code": "the-code", "state": asked["state"], "iss": AS, **changes}
        back = f"{asked['redirect_uri']}?{urlencode({name: value for name, value in answer.items() if value})}"
        threading.Thread(target=httpx.get, args=(back,), kwargs={"trust_env": False}, daemon=True).start()

    monkeypatch.setattr("webbrowser.open", browse)


def test_a_user_connects_looks_and_disconnects(
    connect: ConnectOffice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agree(monkeypatch)

    assert main(["connect", "git"]) == 0

    out, err = capsys.readouterr()
    assert out == "connected to git\n"
    assert "agree at as.example" in err
    assert "the-code" not in out + err
    assert connect.server.given == {BOB: ("state-1", "the-code", AS)}
    assert connect.server.begun[0][1].startswith("http://127.0.0.1:")
    assert main(["connections"]) == 0
    assert capsys.readouterr().out.split() == ["git", "connected"]
    assert main(["disconnect", "git"]) == 0
    assert main(["connections", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["connections"][0]["connected"] is False


def test_the_gateway_is_connected_for_lists_by_who_started_it(
    connect: ConnectOffice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agree(monkeypatch)

    assert main(["connect", "git", "--for-lists"]) == 0

    assert capsys.readouterr().out == "connected to git for its lists\n"
    assert list(connect.server.given) == [""]


def test_who_started_the_gateway_and_has_no_token_is_told_so(
    connect: ConnectOffice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ONLY1MCP_TOKEN")

    assert main(["connect", "git", "--no-browser"]) == 1

    assert "connect as yourself" in capsys.readouterr().err
    assert connect.server.begun == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code": "", "error": "access_denied"}, "has refused: access_denied"),
        ({"iss": "https://evil.example"}, "not from the provider that was asked"),
        ({"code": ""}, "has no code"),
    ],
)
def test_an_answer_that_is_none_connects_nobody(
    connect: ConnectOffice,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    reason: str,
) -> None:
    agree(monkeypatch, **changes)

    assert main(["connect", "git"]) == 1

    assert reason in capsys.readouterr().err
    assert connect.server.given == {}


def test_an_answer_to_something_else_is_not_waited_for_for_ever(url: str, monkeypatch: pytest.MonkeyPatch) -> None:

    agree(monkeypatch, state="another")

    with pytest.raises(RedirectError, match="nobody came back"):
        connections.connect(
            Desk(url, "user"), "git", webbrowser.open, io.StringIO(), io.StringIO(), lists=False, seconds=0.6
        )


def test_a_server_where_nobody_connects_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect", "open", "--no-browser"]) == 1
    assert main(["disconnect", "nobody"]) == 1

    err = capsys.readouterr().err
    assert "'open'" in err
    assert "'nobody'" in err


def test_every_command_is_known_to_the_parser() -> None:
    for name in connection_arguments.CONNECTION_COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
