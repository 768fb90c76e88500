"""Where the state is kept, and what the command takes from it."""

import os
from pathlib import Path

import platformdirs
import pytest

from actors.core.endpoints import StdioEndpoint
from actors.core.saved import SavedServer
from actors.core.settings import ServerSettings
from actors.store import Store
from actors.vault_file import vault_path
from serve_app.state_file import KEEP_SECONDS, Recalled, added_again, forget_old, recall, state_file

NOW = 1_800_000_000.0


def test_each_port_has_a_file_in_the_users_folder_for_state() -> None:
    folder = Path(platformdirs.user_state_dir("only1mcp"))

    assert state_file(ServerSettings(port=8081), spread=False) == folder / "state-8081.sqlite"


def test_where_the_router_may_be_elsewhere_only_a_named_file_is_used(tmp_path: Path) -> None:
    named = ServerSettings(state_file=str(tmp_path / "s"))

    assert state_file(ServerSettings(), spread=True) is None
    assert state_file(named, spread=True) == state_file(named, spread=False) == tmp_path / "s"


def test_a_relative_file_is_the_same_one_for_every_process() -> None:
    assert state_file(ServerSettings(state_file="s"), spread=False) == Path.cwd() / "s"
    assert state_file(ServerSettings(state_file="~/s"), spread=False) == Path.home() / "s"


def test_a_vault_goes_with_its_state_file_and_not_before(tmp_path: Path) -> None:
    old = (NOW - KEEP_SECONDS - 1,) * 2
    vaults = [vault_path(tmp_path / f"state-{port}.sqlite") for port in (1, 2)]
    for port, vault in enumerate(vaults, 1):
        for file in (vault, tmp_path / f"state-{port}.sqlite"):
            file.touch()
            os.utime(file, old)
    os.utime(tmp_path / "state-2.sqlite", (NOW, NOW))

    forget_old(tmp_path, NOW)

    assert not vaults[0].exists()
    assert vaults[1].exists()


def test_the_secret_is_the_same_in_every_run_and_another_in_every_file(tmp_path: Path) -> None:
    first, again, other = (recall(tmp_path / name) for name in ("a", "a", "b"))

    assert first == again
    assert first.secret != other.secret
    assert len(first.secret) == 32


def test_added_servers_are_recalled(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "a")
    store.put_server("web", b"{}")
    store.close()

    assert recall(tmp_path / "a").servers == (SavedServer("web", b"{}"),)


def test_where_nothing_can_be_kept_there_is_a_secret_for_this_run(tmp_path: Path) -> None:
    first, again, without = recall(tmp_path), recall(tmp_path), recall(None)

    assert first == Recalled(None, first.secret)
    assert len({first.secret, again.secret, without.secret}) == 3


def test_added_servers_are_read_with_the_variables_of_this_run(tmp_path: Path) -> None:
    source = b'{"command":"/bin/sh","env":{"TOKEN":"${TOKEN}"}}'
    servers = [SavedServer("a", source), SavedServer("bad", b'{"comand":"x"}'), SavedServer("worse", b"[")]

    (added,) = added_again(servers, tmp_path, {"TOKEN": "of today", "PATH": os.defpath})

    assert added.settings.name == "a"
    assert isinstance(added.settings.endpoint, StdioEndpoint)
    assert added.settings.endpoint.env == {"TOKEN": "of today"}
    assert added.source == source


@pytest.mark.parametrize(("used", "is_there"), [("state-1.sqlite", True), ("state-1.sqlite-wal", True), (None, False)])
def test_files_that_nobody_used_for_long_are_removed(tmp_path: Path, used: str | None, is_there: bool) -> None:
    for name in ("state-1.sqlite", "state-1.sqlite-wal", "other.sqlite"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (NOW - KEEP_SECONDS - 1,) * 2 if name != used else (NOW,) * 2)

    forget_old(tmp_path, NOW)

    left = {path.name for path in tmp_path.iterdir()}
    assert left == ({"state-1.sqlite", "state-1.sqlite-wal"} if is_there else set()) | {"other.sqlite"}
