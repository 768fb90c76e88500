"""What is said before Ray starts: the settings of a run, or why there is none."""

import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actors.core.settings import Settings
from serve_app.cli.preparation import Impossible, Prepared, Surroundings, Wish, prepare
from serve_app.cli.progress import Progress
from serve_app.file_watch import fingerprint
from tests.support.hand_clock import HandClock
from tests.support.processes import free_port

SERVERS = {"time": {"url": "http://127.0.0.1:1/mcp"}}


class Table:
    """A folder to work in, and what is printed there."""

    def __init__(self, folder: Path) -> None:
        self.cwd, self.home = folder / "cwd", folder / "home"
        self.cwd.mkdir()
        self.home.mkdir()
        self._out = io.StringIO()

    @property
    def out(self) -> str:
        return self._out.getvalue()

    def write(self, **sections: Any) -> Path:
        path = self.cwd / "only1mcp.json"
        path.write_text(json.dumps({"mcpServers": SERVERS, **sections}))
        return path

    def prepare(self, **wish: Any) -> Prepared | Impossible:
        progress = Progress(Console(file=self._out, width=200), HandClock())
        return prepare(Wish(**{"port": free_port(), **wish}), Surroundings(self.cwd, self.home, {}), progress)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def impossible(prepared: Prepared | Impossible) -> Impossible:
    assert isinstance(prepared, Impossible)
    return prepared


def possible(prepared: Prepared | Impossible) -> Settings:
    assert isinstance(prepared, Prepared), prepared
    return prepared.settings


def test_without_a_configuration_the_demonstration_is_served_and_that_is_said(table: Table) -> None:
    settings = possible(table.prepare())

    assert [backend.name for backend in settings.backends] == ["demo"]
    assert "no configuration found: serving the demonstration server" in table.out


def test_a_configuration_in_the_folder_is_used_and_named(table: Table) -> None:
    path = table.write()

    settings = possible(table.prepare())

    assert [backend.name for backend in settings.backends] == ["time"]
    assert f"configuration {path}" in table.out


def test_the_command_line_has_the_last_word_on_host_and_port(table: Table) -> None:
    table.write(server={"host": "127.0.0.2", "port": 1234, "drain_seconds": 3})
    port = free_port()

    overridden = possible(table.prepare(host="127.0.0.1", port=port)).server
    kept = possible(table.prepare(host=None, port=None)).server

    assert (overridden.host, overridden.port, overridden.drain_seconds) == ("127.0.0.1", port, 3.0)
    assert (kept.host, kept.port) == ("127.0.0.2", 1234)


@pytest.mark.parametrize("host", ["", "http://x", "0.0.0.0:80", "a b"])
def test_a_host_on_the_command_line_that_is_none_is_refused(table: Table, host: str) -> None:
    refused = impossible(table.prepare(host=host))

    assert refused.code == 2
    assert refused.reason == "only1mcp: server.host must be an address or a host name, without a port"


def test_a_configuration_that_is_not_there_or_wrong_is_refused_with_its_reasons(table: Table, tmp_path: Path) -> None:
    missing = impossible(table.prepare(config=tmp_path / "none.yaml"))
    wrong = impossible(table.prepare(config=table.write(mcpServers={"a": {"comand": "x"}}, servre={})))

    assert (missing.code, wrong.code) == (2, 2)
    assert "none.yaml" in missing.reason
    assert "comand" in wrong.reason
    assert "servre" in wrong.reason


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gw.example.com"])
def test_strangers_are_not_let_in_without_authentication_whoever_says_so(table: Table, host: str) -> None:
    table.write()
    from_the_command_line = impossible(table.prepare(host=host))
    table.write(server={"host": host})
    from_the_file = impossible(table.prepare())

    assert from_the_command_line == from_the_file
    assert from_the_file.code == 2
    assert "auth" in from_the_file.reason


def test_with_authentication_the_gateway_may_be_reached_by_all(table: Table) -> None:
    table.write(auth={"api_keys": [{"name": "ci", "hash": "sha256:" + "0" * 64}]})

    assert possible(table.prepare(host="0.0.0.0")).server.host == "0.0.0.0"


def test_a_taken_port_is_one_sentence_that_says_what_to_do(table: Table, taken_port: int) -> None:
    refused = impossible(table.prepare(port=taken_port))

    assert refused.code == 1
    assert f"port {taken_port} of 127.0.0.1 is taken" in refused.reason
    assert "--port" in refused.reason
    assert "\n" not in refused.reason


def test_on_a_cluster_the_port_is_not_tried_here(table: Table, taken_port: int) -> None:
    assert possible(table.prepare(port=taken_port, address="10.0.0.1:6379")).server.port == taken_port


def test_an_address_that_is_not_ours_is_not_called_taken(table: Table) -> None:
    table.write(auth={"api_keys": [{"name": "ci", "hash": "sha256:" + "0" * 64}]})

    refused = impossible(table.prepare(host="192.0.2.123"))

    assert refused.code == 1
    assert "taken" not in refused.reason
    assert "192.0.2.123" in refused.reason


def test_looking_at_a_port_leaves_it_free(table: Table) -> None:
    port = free_port()

    assert possible(table.prepare(port=port)) == possible(table.prepare(port=port))


def test_what_the_file_held_is_kept_apart_from_what_the_command_line_makes_of_it(table: Table) -> None:
    path = table.write(server={"port": 1234})

    prepared = table.prepare()

    assert isinstance(prepared, Prepared)
    assert prepared.source is not None
    assert (prepared.source.path, prepared.source.fingerprint) == (path, fingerprint(path))
    assert prepared.source.settings.server.port == 1234
    assert prepared.settings.server.port != 1234


def test_the_demonstration_has_no_file_to_follow(table: Table) -> None:
    prepared = table.prepare()

    assert isinstance(prepared, Prepared)
    assert prepared.source is None
