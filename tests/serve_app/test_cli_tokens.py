"""The commands for tokens and keys, in front of the real admin API over HTTP and a real Vault."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import jwt
import platformdirs
import pytest
from structlog.testing import capture_logs

from actors.core.api_key import hash_of
from serve_app.admin.pass_file import Pass, pass_path, write_pass
from serve_app.cli.main import main
from tests.support.admin_office import TOKEN, Office, listening
from tests.support.vault import VaultBox


@pytest.fixture
def box() -> VaultBox:
    return VaultBox(None)


@pytest.fixture(autouse=True)
def office(box: VaultBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """The only gateway of this user."""
    monkeypatch.setattr(platformdirs, "user_state_path", lambda _: tmp_path)
    office = Office(vault=box.start())
    with capture_logs(), listening(office) as port:  # the gateway's, which are no part of what a command prints
        write_pass(pass_path(port), Pass(f"http://127.0.0.1:{port}", TOKEN, os.getpid()))
        yield office


def test_a_token_goes_to_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "issue", "ci", "--scope", "mcp", "--group", "bots", "--lifetime", "12h"]) == 0

    out, err = capsys.readouterr()
    claims = jwt.decode(out.strip(), options={"verify_signature": False})
    assert (claims["sub"], claims["scope"], claims["groups"]) == ("ci", "mcp", ["bots"])
    assert claims["exp"] - claims["iat"] == 12 * 3600
    assert out.strip() not in err
    assert claims["jti"] in err


def test_a_token_can_be_for_one_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "issue", "ci", "--server", "git"]) == 0

    claims = jwt.decode(capsys.readouterr().out.strip(), options={"verify_signature": False})
    assert claims["aud"].endswith("/servers/git/mcp")


def test_what_was_issued_is_listed_and_revoked_by_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    main(["token", "issue", "ci"])
    token = capsys.readouterr().out.strip()
    main(["token", "list", "--json"])
    (entry,) = json.loads(capsys.readouterr().out)["tokens"]

    assert main(["token", "revoke", entry["id"]]) == 0

    capsys.readouterr()
    main(["token", "list"])
    shown = capsys.readouterr().out
    assert entry["id"] in shown
    assert "yes" in shown
    assert token not in shown


def test_a_token_on_standard_input_is_revoked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["token", "issue", "ci"])
    monkeypatch.setattr("sys.stdin", io.StringIO(capsys.readouterr().out))

    assert main(["token", "revoke", "-"]) == 0

    capsys.readouterr()
    main(["token", "list", "--json"])
    assert json.loads(capsys.readouterr().out)["tokens"][0]["revoked"] is True


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["--subject", "eve"], "subject"),
        (["--client", "app", "--issuer", "https://id"], "client"),
        (["--family", "f1"], "family"),
        (["--all-of", "https://id"], "issuer"),
    ],
)
def test_subjects_clients_logins_and_issuers_are_revoked(
    capsys: pytest.CaptureFixture[str], box: VaultBox, words: list[str], target: str
) -> None:
    assert main(["token", "revoke", *words]) == 0

    assert capsys.readouterr().out == "revoked\n"
    assert [each.target for each in box.router.heard.entries] == [target]


@pytest.mark.parametrize("words", [["nobody"], ["-"]])
def test_what_cannot_be_revoked_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    assert main(["token", "revoke", *words]) > 0

    assert "token" in capsys.readouterr().err


def test_a_key_is_made_listed_rotated_and_revoked(capsys: pytest.CaptureFixture[str], box: VaultBox) -> None:
    assert main(["key", "create", "robot", "--scope", "mcp"]) == 0
    made = capsys.readouterr().out.strip()
    assert main(["key", "rotate", "robot", "--overlap", "1h"]) == 0
    rotated = capsys.readouterr().out.strip()
    assert main(["key", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["keys"]
    assert main(["key", "revoke", "robot"]) == 0

    assert made.startswith("o1m_")
    assert rotated.startswith(listed["begins_with"])
    assert listed["scopes"] == ["mcp"]
    assert made != rotated
    revoked = {each.value for each in box.router.heard.entries}
    assert {hash_of(text).removeprefix("sha256:")[:16] for text in (made, rotated)} <= revoked


def test_without_an_action_a_key_for_the_configuration_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key"]) == 0

    assert "api_keys" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["token"], ["token", "revoke"], ["key", "create"], ["token", "issue", "a", "--lifetime", "5"]]
)
def test_a_command_that_makes_no_sense_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(words)

    assert exit_.value.code == 2
