"""TLS at the door, as configured: what cannot work is refused before anything starts."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from actors.core.rules import SettingsError
from actors.core.settings import ServerSettings, Settings
from actors.core.tls_settings import TlsSettings
from serve_app.admin.pass_file import new_pass
from serve_app.cli.preparation import Impossible, Prepared, Surroundings, Wish, prepare
from serve_app.cli.progress import Progress
from serve_app.config import ConfigError, load
from serve_app.environment import haproxy_available
from serve_app.haproxy_keeper import FILE_VARIABLE
from serve_app.own_url import OwnUrl
from serve_app.own_way import own_socket
from tests.support.certificates import Authority

TLS = TlsSettings(certificate="c.pem", key="k.pem")


def configured(folder: Path, **tls: object) -> Path:
    path = folder / "only1mcp.json"
    server = {"url": "http://mcp.example.org/mcp"}
    path.write_text(json.dumps({"mcpServers": {"a": server}, "server": {"port": 18_443, "tls": tls}}))
    return path


@pytest.mark.parametrize("changes", [{"min_version": "1.1"}, {"certificate": " "}, {"key": ""}, {"client_ca": ""}])
def test_tls_that_protects_nobody_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="must"):
        TlsSettings(**{"certificate": "c", "key": "k", **changes})


def test_files_are_found_beside_the_configuration(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.sign("gw")

    settings: Settings = load(
        configured(tmp_path, certificate="gw.crt", key="gw.key", client_ca="authority.pem"), {}
    ).settings

    assert settings.server.tls == TlsSettings(
        certificate=str(files.certificate), key=str(files.key), client_ca=str(authority.file)
    )
    assert settings.server.origin == "https://127.0.0.1:18443"


def test_a_file_that_is_not_there_or_does_not_fit_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.sign("one")
    authority.sign("two")

    with pytest.raises(ConfigError, match=r"client_ca.* is not a file"):
        load(configured(tmp_path, certificate="one.crt", key="one.key", client_ca="none.pem"), {})
    with pytest.raises(ConfigError, match="must hold a PEM certificate"):
        load(configured(tmp_path, certificate="one.crt", key="two.key"), {})
    with pytest.raises(ConfigError, match=r"key.* is missing"):
        load(configured(tmp_path, certificate="one.crt"), {})


def prepared(folder: Path, wish: Wish) -> Prepared | Impossible:
    Authority(folder).sign("gw")
    path = configured(folder, certificate="gw.crt", key="gw.key")
    surroundings = Surroundings(folder, folder, {})
    with (folder / "out").open("w") as out:
        return prepare(
            Wish(path, wish.host, None, wish.address, plain=wish.plain), surroundings, Progress(Console(file=out))
        )


def test_a_cluster_is_not_promised_what_only_the_machine_of_the_command_would_have(tmp_path: Path) -> None:
    found = prepared(tmp_path, Wish(address="auto"))

    assert isinstance(found, Impossible)
    assert "server.tls is for a Ray of the gateway's own" in found.reason


@pytest.mark.skipif(not haproxy_available(), reason="there is no HAProxy for this machine")
def test_tls_can_be_left_out_where_nobody_else_can_come_in(tmp_path: Path) -> None:
    kept, left = prepared(tmp_path, Wish()), prepared(tmp_path, Wish(plain=True))
    open_to_all = prepared(tmp_path, Wish(plain=True, host="0.0.0.0"))

    assert isinstance(kept, Prepared)
    assert kept.settings.server.tls is not None
    assert isinstance(left, Prepared)
    assert left.settings.server.tls is None
    assert isinstance(open_to_all, Impossible)


def test_the_commands_of_this_machine_come_in_through_a_socket_where_clients_need_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "haproxy.cfg"))

    held = new_pass(ServerSettings(tls=TLS, host="0.0.0.0"), 1)

    assert held.url == "https://127.0.0.1:8080"
    assert held.socket == str(tmp_path / "door.sock")
    assert own_socket(ServerSettings()) is None
    assert new_pass(ServerSettings(), 1).socket is None


def test_clients_are_told_urls_that_begin_as_theirs_do() -> None:
    scope = {"path": "/mcp", "headers": [(b"host", b"gw.example.com:8443")]}

    assert OwnUrl(None, encrypted=True).of(scope) == "https://gw.example.com:8443/mcp"
    assert OwnUrl(None).of(scope) == "http://gw.example.com:8443/mcp"
