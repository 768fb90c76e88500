"""What `only1mcp validate` prints."""

import io
import json
import sys

from serve_app.cli.validate import validate
from serve_app.config import demonstration, description

HASH = "sha256:" + "0" * 64


def run(tmp_path, tree, environ):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(tree))
    out, errors = io.StringIO(), io.StringIO()
    code = validate(path, out, errors, environ)
    return code, out.getvalue().splitlines(), errors.getvalue().splitlines()


def test_a_good_file_is_described_as_it_is_written(tmp_path):
    (tmp_path / "npx").write_text("")
    (tmp_path / "npx").chmod(0o755)
    tree = {
        "mcpServers": {
            "github": {
                "command": "npx",
                "args": ["-y", "server-github", "--token=${TOKEN}", "two words", ""],
                "env": {"GITHUB_TOKEN": "${TOKEN}", "PATH": str(tmp_path)},
                "description": "ignored",
            },
            "web": {
                "url": "https://${HOST}/mcp?key=${TOKEN}",
                "headers": {"Authorization": "${TOKEN}"},
                "replicas": 3,
                "timeout": 2.5,
            },
        },
        "server": {"host": "::1", "port": 9000, "replicas": 2},
        "auth": {
            "issuers": [{"issuer": "https://id", "audience": "gw", "jwks_url": "https://id/jwks"}],
            "api_keys": [{"name": "ci", "hash": HASH}, {"name": "laptop", "hash": HASH}],
        },
    }

    code, out, errors = run(tmp_path, tree, {"TOKEN": "s3cr3t", "HOST": "h.example"})

    assert (code, errors) == (0, [])
    assert out == [
        "github  stdio  npx -y server-github --token=${TOKEN} 'two words' ''  1 replica, timeout 60 s",
        "        env GITHUB_TOKEN, PATH",
        "web     http   https://${HOST}/mcp?…                                 3 replicas, timeout 2.5 s",
        "        headers Authorization",
        "server: http://[::1]:9000/mcp, 2 ingress replicas",
        "auth: tokens of https://id (RS256), 2 API keys (ci, laptop)",
        "ignored: mcpServers.github.description",
    ]


def test_each_kind_of_server_has_its_word(tmp_path):
    tree = {
        "mcpServers": {
            "older": {"type": "sse", "url": "https://a.example/sse"},
            "socket": {"url": "wss://a.example/ws?key=s3cr3t", "headers": {"X-Key": "s3cr3t"}},
        }
    }

    code, out, _ = run(tmp_path, tree, {})

    assert code == 0
    assert out[:3] == [
        "older   sse        https://a.example/sse  1 replica, timeout 60 s",
        "socket  websocket  wss://a.example/ws?…   1 replica, timeout 60 s",
        "        headers X-Key",
    ]


def test_every_problem_is_printed_on_the_error_stream(tmp_path):
    code, out, errors = run(tmp_path, {"mcpServers": {"a": {}}, "server": {"port": 0}}, {})

    path = tmp_path / "c.json"
    assert (code, out) == (2, [])
    assert errors == [
        f"{path}: mcpServers.a: needs a command or a url",
        f"{path}: server.port: must be 1 to 65535",
    ]


def test_a_file_that_opens_the_gateway_to_everyone_is_refused(tmp_path):
    tree = {"mcpServers": {"a": {"url": "https://a.example/mcp"}}, "server": {"host": "0.0.0.0"}}

    code, out, errors = run(tmp_path, tree, {})

    assert (code, out) == (2, [])
    assert errors == [
        f"{tmp_path / 'c.json'}: server.host 0.0.0.0 is reachable by others: add an `auth` section or use 127.0.0.1"
    ]


def test_a_description_cannot_move_the_cursor(tmp_path):
    tree = {"mcpServers": {"a": {"command": sys.executable, "args": ["\x1b[2J\r\n"], "env": {"A\x1b": "x"}}}}

    code, out, _ = run(tmp_path, tree, {})

    assert code == 0
    assert all(line.isprintable() for line in out)


def test_the_demonstration_is_described_without_a_file():
    lines = description(demonstration(), {})

    assert lines == [
        f"demo  stdio  {sys.executable}  1 replica, timeout 60 s",
        "server: http://127.0.0.1:8080/mcp, 1 ingress replica",
        "auth: none, everyone who can reach the address may come in",
    ]
