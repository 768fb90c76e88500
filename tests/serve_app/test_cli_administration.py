"""The commands for a gateway that runs, in front of the real admin API over HTTP."""

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from actors.core.listing import Facts, Item, Listing
from actors.core.revisions import LATEST_HANDSHAKE, Era
from serve_app.admin.pass_file import Pass, pass_path, write_pass
from serve_app.cli import servers
from serve_app.cli.administration import divided
from serve_app.cli.desk import TOKEN_VARIABLE, Desk, DeskError, DeskWish, find_desk
from serve_app.cli.main import main
from serve_app.cli.reload import WAIT_SECONDS, reload
from serve_app.cli.servers import AddWish, entry_of
from serve_app.cli.trial import Finding, hidden, of_gateway, trial
from tests.support.admin_office import TOKEN, Office, listening, verify
from tests.support.hand_clock import HandClock
from tests.support.processes import ROOT, free_port

WEB = "https://web.example/mcp"


class Floor:
    """A gateway's admin API that listens, and the passes of its owner."""

    def __init__(self, office: Office, port: int, folder: Path) -> None:
        self.office = office
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.path = pass_path(port, folder)
        self.held = Pass(self.url, TOKEN, os.getpid())
        write_pass(self.path, self.held)

    @property
    def desk(self) -> Desk:
        return find_desk(DeskWish(), {}, self.folder)


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    office = Office(verify=verify)
    with listening(office) as port:
        yield Floor(office, port, tmp_path / "admin")


def test_the_only_gateway_of_a_user_need_not_be_named(floor: Floor) -> None:
    stale = Pass("http://127.0.0.1:1", "old", 2**22 + 1)
    write_pass(pass_path(1, floor.folder), stale)

    assert floor.desk.url == floor.url
    assert [server["name"] for server in floor.desk.ask("GET", "/servers")["servers"]] == ["git"]


def test_of_several_gateways_one_must_be_named(floor: Floor) -> None:
    write_pass(pass_path(1, floor.folder), Pass("http://127.0.0.1:1", "other", os.getpid()))

    with pytest.raises(DeskError, match="several gateways run here") as caught:
        find_desk(DeskWish(), {}, floor.folder)

    assert find_desk(DeskWish(port=floor.port), {}, floor.folder).url == floor.url
    assert caught.value.code == 1


@pytest.mark.parametrize("wish", [DeskWish(), DeskWish(port=1)])
def test_where_no_gateway_of_the_user_runs_that_is_said(wish: DeskWish, tmp_path: Path) -> None:
    with pytest.raises(DeskError, match="no gateway of this user runs"):
        find_desk(wish, {}, tmp_path)


def test_a_gateway_elsewhere_wants_a_token_with_the_scope(floor: Floor, tmp_path: Path) -> None:
    def ask(token: str) -> Any:
        return find_desk(DeskWish(gateway=f"{floor.url}/mcp"), {TOKEN_VARIABLE: token}, tmp_path).ask("GET", "/servers")

    assert len(ask("admin")["servers"]) == 1
    with pytest.raises(DeskError, match="the scope only1mcp:admin is required"):
        ask("user")
    with pytest.raises(DeskError, match="does not know the credential"):
        ask("stranger")
    with pytest.raises(DeskError, match="put a token into ONLY1MCP_TOKEN"):
        ask("")


def test_the_token_of_a_pass_is_sent_to_its_own_gateway_only(floor: Floor) -> None:
    for host in ("127.0.0.1", "localhost"):
        assert find_desk(DeskWish(gateway=f"http://{host}:{floor.port}"), {}, floor.folder).url == floor.url
    with pytest.raises(DeskError, match="wants a credential"):
        find_desk(DeskWish(gateway=f"http://other.example:{floor.port}"), {}, floor.folder)


def test_a_pass_that_others_can_read_is_not_used(floor: Floor) -> None:
    floor.path.chmod(0o644)

    with pytest.raises(DeskError, match="does not belong to this user alone"):
        find_desk(DeskWish(port=floor.port), {}, floor.folder)


def test_a_gateway_that_is_gone_is_one_sentence_without_the_token() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(DeskError, match=f"no gateway answers at {url}") as caught:
        Desk(url, TOKEN).ask("GET", "/servers")

    assert TOKEN not in caught.value.reason


def test_servers_are_listed_for_people_and_for_programs(floor: Floor) -> None:
    floor.desk.ask("GET", "/servers")
    floor.office.tell_later("git", detail="its command is not there")
    table, page = io.StringIO(), io.StringIO()

    codes = servers.show(floor.desk, table, as_json=False), servers.show(floor.desk, page, as_json=True)

    assert codes == (0, 0)
    header, row = table.getvalue().splitlines()
    assert header.split() == ["server", "origin", "state", "replicas", "tools", "in", "flight", "note"]
    assert row.split(maxsplit=8) == ["git", "file", "down", "0", "of", "1", "0", "0", "its command is not there"]
    assert json.loads(page.getvalue())["servers"][0]["replicas"][0]["detail"] == "its command is not there"


def test_a_server_is_added_when_it_is_up_and_removed(floor: Floor) -> None:
    out = io.StringIO()
    clock = HandClock()

    def comes_up(seconds: float) -> None:
        clock.advance(seconds)
        floor.office.tell_later("web", "a", "b")

    added = servers.add(floor.desk, AddWish("web", WEB, headers=["X-Key: s3cr3t"]), out, comes_up, clock)
    endpoint = floor.office.settings("web").endpoint
    removed = servers.remove(floor.desk, "web", out)

    assert (added, removed) == (0, 0)
    assert out.getvalue().splitlines() == ["added web: 2 tools", "removed web: calls that run may finish"]
    assert endpoint.headers == {"X-Key": "s3cr3t"}
    assert floor.office.router_names() == ["git"]


def test_what_a_pinned_server_changed_is_listed_and_accepted(floor: Floor) -> None:
    table, out = io.StringIO(), io.StringIO()
    clock = HandClock()
    wish = AddWish("web", WEB, entry='{"pin": true}')
    servers.add(floor.desk, wish, out, lambda _: floor.office.tell_later("web", "a"), clock)
    floor.office.tell_later("web", "a", "b\u202e")

    servers.show(floor.desk, table, as_json=False)
    servers.accept(floor.desk, "web", out)
    page = floor.desk.ask("GET", "/servers/web")

    assert table.getvalue().splitlines()[2].endswith("1 held back: new")
    assert out.getvalue().splitlines()[1:] == [
        "accepted new tool b\\u202e",
        "web: the definitions of its tools are those that are agreed to",
    ]
    assert (page["tools"], page["findings"]) == (2, [])


def test_a_server_that_does_not_come_up_is_waited_for_and_then_said_to_be_tried_again(floor: Floor) -> None:
    out = io.StringIO()
    clock = HandClock()
    began = clock()

    code = servers.add(floor.desk, AddWish("web", WEB), out, lambda _: clock.advance(30.0), clock)

    assert (code, clock() - began) == (0, servers.WAIT_SECONDS)
    assert out.getvalue() == "added web, which is not up and is tried again: starting\n"


def test_what_the_gateway_refuses_is_said_with_its_problems_and_its_code(floor: Floor) -> None:
    out = io.StringIO()

    with pytest.raises(DeskError) as wrong:
        servers.add(floor.desk, AddWish("web", "ftp://x", entry='{"timeout": 0}'), out)
    with pytest.raises(DeskError) as taken:
        servers.add(floor.desk, AddWish("git", WEB), out)
    with pytest.raises(DeskError) as unknown:
        servers.remove(floor.desk, "none", out)

    assert wrong.value.code == 2
    assert wrong.value.reason.splitlines() == [
        "the entry cannot be used",
        "  url: must begin with http:// or https://",
        "  timeout: must be more than 0 and at most 86400 seconds",
    ]
    assert (taken.value.reason, taken.value.code) == ("there is a server 'git' already", 1)
    assert unknown.value.reason == "there is no server 'none'"
    assert out.getvalue() == ""


def test_a_command_line_becomes_the_entry_that_a_file_would_have(tmp_path: Path) -> None:
    wish = AddWish("x", command=("npx", "-y", "server"), env=["A=1=2", "B"], entry='{"timeout": 5, "env": {"C": "c"}}')

    entry = entry_of(wish, {"B": "b${X}"}, tmp_path)

    assert entry == {
        "command": "npx",
        "args": ["-y", "server"],
        "env": {"C": "c", "A": "1=2", "B": "b$${X}"},
        "timeout": 5,
        "cwd": str(tmp_path),
    }


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (AddWish("x"), "say --url, or the command after `--`"),
        (AddWish("x", WEB, entry="{"), "--json is not JSON"),
        (AddWish("x", WEB, entry="[]"), "--json must be a JSON object"),
        (AddWish("x", WEB, env=["NOWHERE"]), "--env NOWHERE names a variable that is not set here"),
        (AddWish("x", WEB, headers=["X"]), "--header must have the form 'Name: value'"),
        (AddWish("x", WEB, entry='{"headers": 5}', headers=["X: y"]), "headers in --json must be a mapping"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused_here(wish: AddWish, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DeskError, match=sentence) as caught:
        entry_of(wish, {}, tmp_path)

    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("success", "lines", "code"),
    [(True, ("reloaded: 1 added",), 0), (False, ("file: a: wrong", "not reloaded: nothing has changed"), 2)],
)
def test_a_reload_says_what_came_of_it(floor: Floor, success: bool, lines: tuple[str, ...], code: int) -> None:
    out = io.StringIO()

    def command(_seconds: float) -> None:
        assert floor.office.reloads_asked() == 1
        write_pass(floor.path, Pass(floor.url, TOKEN, os.getpid(), 1, lines, success))

    assert reload(floor.desk, out, command, HandClock()) == code
    assert out.getvalue().splitlines() == list(lines)


def test_a_reload_that_nobody_does_is_given_up_with_a_sentence(floor: Floor) -> None:
    clock = HandClock()

    with pytest.raises(DeskError, match="has not read its configuration"):
        reload(floor.desk, io.StringIO(), lambda _: clock.advance(WAIT_SECONDS), clock)


def test_a_reload_of_a_gateway_elsewhere_is_asked_for_and_not_waited_for(floor: Floor) -> None:
    out = io.StringIO()

    code = reload(Desk(floor.url, "admin"), out)

    assert (code, floor.office.reloads_asked()) == (0, 1)
    assert "asked" in out.getvalue()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    echo = {"command": sys.executable, "args": ["-m", "tests.support.echo_server"], "cwd": str(ROOT)}
    path = tmp_path / "only1mcp.json"
    broken = {"command": sys.executable, "args": ["-c", "raise SystemExit('no licence')"]}
    pool = {"urls": [f"http://127.0.0.1:{free_port()}/mcp", f"http://127.0.0.1:{free_port()}/mcp"]}
    path.write_text(json.dumps({"mcpServers": {"echo": echo, "broken": broken, "pool": pool}}))
    return path


def test_hidden_text_of_a_server_is_told_when_it_is_tried() -> None:
    listing = Listing(tools=(Item("add", '{"name": "add", "description": "Adds\u202e."}'.encode()),))
    facts = Facts(Era.HANDSHAKE, LATEST_HANDSHAKE, instructions="a\u200b")

    assert hidden(Finding(facts, listing, 0.0)) == ["tools add (bidi)", "instructions (zero_width)"]


def test_a_server_of_a_file_is_tried_from_here(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["test", "echo", "--config", str(config)])

    first, *rest = capsys.readouterr().out.splitlines()
    assert code == 0
    assert first.startswith("echo: 1 tool after ")
    assert rest == ["  tools: echo"]


def test_a_server_that_cannot_be_reached_is_code_1_and_the_reason(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["test", "broken", "--config", str(config)])

    assert code == 1
    assert "no licence" in capsys.readouterr().out


def test_each_server_of_a_pool_is_tried(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["test", "pool", "--config", str(config)])

    lines = capsys.readouterr().out.splitlines()
    assert (code, len(lines)) == (1, 2)
    assert all(line.startswith("pool: ") for line in lines)


def test_a_server_that_is_not_in_the_file_is_refused_with_those_that_are(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["test", "ecko", "--config", str(config)])

    assert code == 2
    assert "has no server 'ecko'; it has echo, broken, pool" in capsys.readouterr().err


def test_a_name_that_no_server_can_have_is_refused() -> None:
    with pytest.raises(DeskError, match="a name has 1 to 32 letters"):
        of_gateway("a/b", "http://127.0.0.1:1", {})


def test_a_gateway_that_does_not_answer_is_a_reason_and_code_1() -> None:
    out = io.StringIO()

    code = trial(of_gateway("git", f"http://127.0.0.1:{free_port()}", {TOKEN_VARIABLE: "s3cr3t"}), out)

    assert code == 1
    assert "git: " in out.getvalue()
    assert "s3cr3t" not in out.getvalue()


def test_the_commands_find_the_gateway_and_say_what_is_wrong_in_one_sentence(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    nobody = main(["list"])
    said_by_nobody = capsys.readouterr().err
    home = platformdirs.user_state_path("only1mcp") / "admin"
    write_pass(pass_path(floor.port, home), floor.held)

    listed = main(["list"])
    removed = main(["remove", "git", "--port", str(floor.port)])

    said = capsys.readouterr()
    assert (nobody, listed, removed) == (1, 0, 1)
    assert said_by_nobody == (
        "only1mcp: no gateway of this user runs here: start one with `only1mcp run`, or say --gateway\n"
    )
    assert "git" in said.out
    assert said.err == "only1mcp: the server 'git' is in the configuration file: remove it there\n"


def test_what_follows_the_two_dashes_is_the_command_of_the_server_whatever_it_looks_like() -> None:
    words, command = divided(["add", "git", "-e", "A=b", "--", "npx", "-y", "server", "--port", "1", "--", "x"])
    others = divided(["validate", "--", "file"])

    assert words == ["add", "git", "-e", "A=b"]
    assert command == ["npx", "-y", "server", "--port", "1", "--", "x"]
    assert others == (["validate", "--", "file"], [])
