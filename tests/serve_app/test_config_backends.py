"""The `mcpServers` of a file: what other clients write loads, and each refusal has its sentence."""

import json
import sys
from pathlib import Path

import pytest

from actors.core.endpoints import HttpEndpoint, SseEndpoint, StdioEndpoint, WebSocketEndpoint
from actors.core.settings import BackendSettings, Isolation
from actors.core.traffic_settings import BreakerSettings
from serve_app.config import demonstration
from tests.support.config_files import HTTP, STDIO, load_text, load_tree, problems_of, problems_of_server

CLAUDE_DESKTOP = """{
  "globalShortcut": "Ctrl+Space",
  "preferences": {"menuBarEnabled": true, "label": "${not a variable}"},
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/Users/me/Desktop"]
    },
    "github": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-github"],
      "env": {"GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_x"}
    }
  }
}"""

CURSOR = """{
  "mcpServers": {
    "api-server": {
      "url": "https://api.example.com/mcp",
      "headers": {"Authorization": "Bearer ${env:MY_SERVICE_TOKEN}"}
    },
    "server-name": {
      "type": "stdio",
      "command": "npx",
      "args": ["-y", "mcp-server"],
      "env": {"API_KEY": "${env:API_KEY}"},
      "disabled": false,
      "autoApprove": ["search"]
    }
  }
}"""


@pytest.fixture
def npx(tmp_path):
    """A folder for `PATH` that holds `npx`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "npx"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(folder)


def test_an_unmodified_claude_desktop_file_loads(tmp_path, npx):
    loaded = load_text(tmp_path, CLAUDE_DESKTOP, environ={"PATH": npx})

    filesystem, github = loaded.settings.backends
    assert filesystem.endpoint == StdioEndpoint(
        command="npx", args=("-y", "@modelcontextprotocol/server-filesystem", "/Users/me/Desktop")
    )
    assert github.endpoint.env == {"GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_x"}
    assert loaded.notes == ("ignored: globalShortcut", "ignored: preferences")


def test_an_unmodified_cursor_file_loads(tmp_path, npx):
    environ = {"PATH": npx, "MY_SERVICE_TOKEN": "t", "API_KEY": "k"}

    loaded = load_text(tmp_path, CURSOR, environ=environ)

    api, local = loaded.settings.backends
    assert api.endpoint == HttpEndpoint(
        url="https://api.example.com/mcp", headers={"Authorization": "Bearer t"}, sse_fallback=True
    )
    assert local.endpoint == StdioEndpoint(command="npx", args=("-y", "mcp-server"), env={"API_KEY": "k"})
    assert loaded.notes == ("ignored: mcpServers.server-name.autoApprove",)


def test_our_own_keys_stand_beside_theirs(tmp_path):
    own = {
        "replicas": 2,
        "timeout": 5,
        "start_timeout": 7.5,
        "concurrency_limit": 9,
        "max_message_bytes": 4096,
        "isolation": "principal",
        "max_conversations": 3,
        "conversation_idle_seconds": 4.5,
        "park_seconds": 6,
        "max_parked": 7,
        "breaker": {"failure_threshold": 2},
    }

    loaded = load_tree(tmp_path, {"mcpServers": {"web": {**HTTP, **own}}})

    assert loaded.settings.backends == (
        BackendSettings(
            name="web",
            endpoint=HttpEndpoint(url=HTTP["url"], sse_fallback=True),
            replicas=2,
            timeout=5.0,
            start_timeout=7.5,
            concurrency_limit=9,
            max_message_bytes=4096,
            isolation=Isolation.PRINCIPAL,
            max_conversations=3,
            conversation_idle_seconds=4.5,
            park_seconds=6.0,
            max_parked=7,
            breaker=BreakerSettings(failure_threshold=2),
        ),
    )


@pytest.mark.parametrize("kind", ["http", "streamable-http", "streamable_http", "streamableHttp"])
def test_every_spelling_of_streamable_http_is_understood(tmp_path, kind):
    loaded = load_tree(tmp_path, {"mcpServers": {"web": {**HTTP, "type": kind}}})

    assert loaded.settings.backends[0].endpoint == HttpEndpoint(url=HTTP["url"])


def test_a_url_without_a_type_may_be_one_of_the_older_transport(tmp_path):
    loaded = load_tree(tmp_path, {"mcpServers": {"web": HTTP}})

    assert loaded.settings.backends[0].endpoint == HttpEndpoint(url=HTTP["url"], sse_fallback=True)


def test_the_older_http_transport_is_told_by_its_type(tmp_path):
    server = {**HTTP, "type": "sse", "headers": {"X-Key": "x"}}

    loaded = load_tree(tmp_path, {"mcpServers": {"web": server}})

    assert loaded.settings.backends[0].endpoint == SseEndpoint(url=HTTP["url"], headers={"X-Key": "x"})


@pytest.mark.parametrize("kind", [{}, {"type": "ws"}, {"type": "websocket"}])
@pytest.mark.parametrize("url", ["ws://localhost:1/ws", "wss://mcp.example.com/ws?x=1", "WSS://mcp.example.com"])
def test_a_websocket_is_told_by_its_url_alone(tmp_path, kind, url):
    loaded = load_tree(tmp_path, {"mcpServers": {"web": {"url": url, "headers": {"X-Key": "x"}, **kind}}})

    assert loaded.settings.backends[0].endpoint == WebSocketEndpoint(url=url, headers={"X-Key": "x"})


def test_a_disabled_server_is_left_out_and_its_variables_may_be_unset(tmp_path):
    off = {"command": "${NOWHERE}", "disabled": True, "whatever": 1}

    loaded = load_tree(tmp_path, {"mcpServers": {"off": off, "on": HTTP}})

    assert [backend.name for backend in loaded.settings.backends] == ["on"]
    assert loaded.notes == ("left out, because it is disabled: mcpServers.off",)


def test_what_editors_add_is_ignored_with_a_note(tmp_path):
    server = {**HTTP, "description": "${not expanded", "alwaysAllow": ["x"], "autoApprove": []}

    loaded = load_tree(tmp_path, {"$schema": "x", "inputs": [], "mcpServers": {"web": server}})

    assert set(loaded.notes) == {
        "ignored: $schema",
        "ignored: inputs",
        "ignored: mcpServers.web.description",
        "ignored: mcpServers.web.alwaysAllow",
        "ignored: mcpServers.web.autoApprove",
    }


def test_inputs_that_an_editor_would_ask_for_are_refused(tmp_path):
    tree = {"inputs": [{"id": "key", "type": "promptString"}], "mcpServers": {"web": HTTP}}

    assert problems_of(tmp_path, tree) == [
        "inputs: ask an editor's user for values, which a gateway cannot: use ${NAME} instead"
    ]


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ({}, "needs a command or a url"),
        ([], "must be a mapping, with a command or a url"),
        (None, "must be a mapping, with a command or a url"),
        ({**STDIO, **HTTP}, "has a command and a url: keep one of them"),
        ({**HTTP, "type": "https"}, "type: must be stdio, http, streamable-http, sse or websocket"),
        ({**HTTP, "type": 1}, "type: must be stdio, http, streamable-http, sse or websocket"),
        ({**HTTP, "type": "ws"}, "url: must begin with ws:// or wss://"),
        ({"type": "sse", "url": "wss://x"}, "url: must begin with http:// or https://"),
        ({"type": "http", "url": "wss://x"}, "url: must begin with http:// or https://"),
        ({"type": "sse"}, "url: is missing"),
        ({**HTTP, "type": "sse", "env": {}}, "env: belongs to a server with a command"),
        ({"url": "wss://x", "cwd": "/"}, "cwd: belongs to a server with a command"),
        ({"url": "wss://u:p@x"}, "url: must not hold a user name or a password: send them in `headers`"),
        ({**HTTP, "sse_fallback": True}, "sse_fallback: is not a setting of a server"),
        ({**HTTP, "isolation": "user"}, "isolation: must be 'shared', 'session' or 'principal'"),
        ({**HTTP, "max_conversations": 0}, "max_conversations: must be 1 to 10000"),
        ({"type": "http"}, "url: is missing"),
        ({"type": "stdio"}, "command: is missing"),
        ({**HTTP, "type": "http", "command": "x"}, "command: belongs to a server with a command"),
        ({**HTTP, "env": {}}, "env: belongs to a server with a command"),
        ({**STDIO, "headers": {}}, "headers: belongs to a server with a url"),
        ({**HTTP, "disabled": "yes"}, "disabled: must be true or false"),
        ({**HTTP, "replica": 2}, "replica: is not a setting of a server; did you mean 'replicas'?"),
        ({**HTTP, "startTimeout": 2}, "startTimeout: is not a setting of a server; did you mean 'start_timeout'?"),
        ({**HTTP, "transport": "x"}, "transport: is not a setting of a server; did you mean 'type'?"),
        ({**HTTP, "zzz": 2}, "zzz: is not a setting of a server"),
        (
            {**HTTP, "breaker": {"open_second": 1}},
            "breaker.open_second: is not a setting; did you mean 'open_seconds'?",
        ),
        ({**HTTP, "breaker": []}, "breaker: must be a mapping of names to values"),
        ({**HTTP, "breaker": {"probe_limit": 0}}, "breaker.probe_limit: must be 1 to 1000"),
        ({**HTTP, "replicas": "5"}, "replicas: must be a whole number"),
        ({**HTTP, "replicas": 2.0}, "replicas: must be a whole number"),
        ({**HTTP, "replicas": True}, "replicas: must be a whole number"),
        ({**HTTP, "replicas": 10**30}, "replicas: must be 1 to 100"),
        ({**HTTP, "replicas": 1000}, "replicas: must be 1 to 100"),
        ({**HTTP, "timeout": "60"}, "timeout: must be a number"),
        ({**HTTP, "timeout": 0}, "timeout: must be more than 0 and at most 86400 seconds"),
        ({**HTTP, "timeout": None}, "timeout: must be a number"),
        ({**STDIO, "env": {"PORT": 80}}, "env.PORT: must be a string: put it in quotes"),
        ({**STDIO, "env": {"DEBUG": True}}, "env.DEBUG: must be a string: put it in quotes"),
        ({**STDIO, "env": {"NOTHING": None}}, "env.NOTHING: must be a string"),
        ({**STDIO, "env": ["A=b"]}, "env: must be a mapping of names to values"),
        ({**STDIO, "env": {"A=b": "x"}}, "env: has a variable whose name is empty or holds `=`"),
        ({**STDIO, "args": "-y server"}, "args: must be a list"),
        ({**STDIO, "args": ["-p", 80]}, "args[1]: must be a string: put it in quotes"),
        ({"command": ["npx"]}, "command: must be a string"),
        ({"command": " "}, "command: must not be empty"),
        ({"command": "no-such-program-anywhere"}, "command: command 'no-such-program-anywhere' is not on PATH"),
        ({"command": "./missing"}, "command: command './missing' does not exist"),
        ({**STDIO, "cwd": "missing"}, "cwd: is not a folder"),
        ({**STDIO, "cwd": ""}, "cwd: must not be empty"),
        ({"url": "ftp://x"}, "url: must begin with http:// or https://"),
        ({"url": "https:///x"}, "url: names no host"),
        ({"url": "https://u:p@x"}, "url: must not hold a user name or a password: send them in `headers`"),
        ({**HTTP, "headers": {"X": 1}}, "headers.X: must be a string: put it in quotes"),
        ({**HTTP, "headers": {"X": "a\nb"}}, "headers.X: holds a line break or a control character"),
        (
            {**HTTP, "headers": {"X y": "a"}},
            "headers: has a header name with characters that header names may not have",
        ),
        ({"url": "${NOWHERE}"}, "url: the variable NOWHERE is not set"),
        ({**STDIO, "args": ["${NOWHERE}"]}, "args[0]: the variable NOWHERE is not set"),
        ({**STDIO, "env": {"A": "${NOWHERE}"}}, "env.A: the variable NOWHERE is not set"),
    ],
)
def test_a_server_that_cannot_work_is_refused_with_one_sentence(tmp_path, server, problem):
    assert problems_of_server(tmp_path, server) == [problem]


@pytest.mark.parametrize("name", ["", "a b", "a__b", "-a", "x" * 33, "git\u001b[2J"])
def test_a_name_that_no_tool_could_carry_is_refused(tmp_path, name):
    (problem,) = problems_of(tmp_path, {"mcpServers": {name: HTTP}})

    assert "a name has 1 to 32 letters, digits, `-` and `_`" in problem
    assert problem.isprintable()


def test_names_that_differ_in_case_only_are_refused(tmp_path):
    assert problems_of(tmp_path, {"mcpServers": {"git": HTTP, "Git": HTTP}}) == [
        "mcpServers.Git: differs from 'git' in upper and lower case only"
    ]


@pytest.mark.parametrize("tree", [{}, {"mcpServers": {}}, {"mcpServers": {"off": {"disabled": True}}}])
def test_a_gateway_with_nothing_behind_it_is_refused(tmp_path, tree):
    assert problems_of(tmp_path, tree) == ["mcpServers: has no server to put behind the gateway"]


def test_servers_that_are_a_list_are_refused(tmp_path):
    assert problems_of(tmp_path, {"mcpServers": [HTTP]}) == ["mcpServers: must be a mapping of names to servers"]


def test_all_problems_are_reported_at_once_and_each_place_once(tmp_path):
    tree = {
        "servers": {},
        "mcpServers": {
            "a": {"command": "no-such-program", "replicas": "x", "timeout": 0, "args": ["${NOWHERE:-x}"]},
            "b": {"url": "${NOWHERE}", "breaker": {"probe_limit": 0, "zzz": 1}, "replicas": 0},
        },
        "server": {"port": 0, "naming": "x"},
        "auth": None,
    }

    assert sorted(problems_of(tmp_path, tree)) == [
        "auth: must be a mapping of names to values",
        "mcpServers.a.command: command 'no-such-program' is not on PATH",
        "mcpServers.a.replicas: must be a whole number",
        "mcpServers.a.timeout: must be more than 0 and at most 86400 seconds",
        "mcpServers.b.breaker.probe_limit: must be 1 to 1000",
        "mcpServers.b.breaker.zzz: is not a setting",
        "mcpServers.b.replicas: must be 1 to 100",
        "mcpServers.b.url: the variable NOWHERE is not set",
        "server.naming: must be 'qualified', 'on_collision' or 'none'",
        "server.port: must be 1 to 65535",
        "servers: is not a setting; did you mean 'mcpServers'?",
    ]


def test_relative_paths_begin_at_the_folder_of_the_file(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    program = work / "server.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    servers = {"a": {"command": "./server.sh", "cwd": "work"}, "b": {"command": "work/server.sh"}}

    first, second = load_tree(tmp_path, {"mcpServers": servers}).settings.backends

    assert first.endpoint == StdioEndpoint(command=f"{work}/server.sh", cwd=str(work))
    assert second.endpoint == StdioEndpoint(command=str(program))


def test_a_tilde_is_the_home_folder(tmp_path):
    server = {"command": "~/server.sh", "cwd": "~"}
    (tmp_path / "server.sh").write_text("")
    (tmp_path / "server.sh").chmod(0o755)

    loaded = load_tree(tmp_path, {"mcpServers": {"a": server}}, {"HOME": str(tmp_path)})

    assert loaded.settings.backends[0].endpoint == StdioEndpoint(command=f"{tmp_path}/server.sh", cwd=str(tmp_path))


def test_a_command_that_may_not_be_executed_is_refused(tmp_path):
    (tmp_path / "server.sh").write_text("")

    assert problems_of_server(tmp_path, {"command": "./server.sh"}) == [
        "command: command './server.sh' may not be executed"
    ]


def test_a_bare_command_is_looked_up_in_the_path_of_the_server(tmp_path, npx):
    on_its_path = {"command": "npx", "env": {"PATH": npx}}
    on_another = {"command": "npx", "env": {"PATH": "/nowhere"}}

    load_tree(tmp_path, {"mcpServers": {"a": on_its_path}}, {"PATH": "/nowhere"})

    problem = problems_of(tmp_path, {"mcpServers": {"a": on_another}}, {"PATH": npx})
    assert problem == ["mcpServers.a.command: command 'npx' is not on PATH"]


def test_values_are_expanded_everywhere_in_a_server(tmp_path):
    environ = {"PYTHON": sys.executable, "DIR": str(tmp_path), "X": "x", "HOST": "mcp.example.com"}
    servers = {
        "a": {"command": "${PYTHON}", "args": ["${X}", "$${X}"], "env": {"A": "${X}"}, "cwd": "${DIR}"},
        "b": {"url": "https://${HOST}/", "headers": {"X": "Bearer ${X}"}},
    }

    first, second = load_tree(tmp_path, {"mcpServers": servers}, environ).settings.backends

    assert first.endpoint == StdioEndpoint(
        command=sys.executable, args=("x", "${X}"), env={"A": "x"}, cwd=str(tmp_path)
    )
    assert second.endpoint == HttpEndpoint(url="https://mcp.example.com/", headers={"X": "Bearer x"}, sse_fallback=True)


def test_the_error_has_a_line_for_each_problem_with_the_file_first(tmp_path):
    path = tmp_path / "only1mcp.json"
    problems = problems_of(tmp_path, {"mcpServers": {"a": {}}, "server": {"port": 0}})

    with pytest.raises(Exception, match="needs a command") as caught:
        load_text(tmp_path, json.dumps({"mcpServers": {"a": {}}, "server": {"port": 0}}))

    assert str(caught.value).splitlines() == [f"{path}: {problem}" for problem in problems]


def test_without_a_file_there_is_a_demonstration():
    (backend,) = demonstration().backends

    assert (backend.name, Path(backend.endpoint.command)) == ("demo", Path(sys.executable))
    assert backend.endpoint.args == ("-m", "serve_app.demonstration")
