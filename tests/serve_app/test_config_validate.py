"""What `only1mcp validate` prints."""

import io
import json
import sys

from serve_app.cli.validate import validate
from serve_app.config import demonstration, description

HASH = "sha256:" + "0" * 64
LOGIN = {"name": "corp", "issuer": "https://id.example", "client_id": "gateway"}


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


def test_what_may_be_done_how_much_of_it_and_what_is_remembered_has_its_lines(tmp_path):
    tree = {
        "mcpServers": {"web": {"url": "https://a.example/mcp"}},
        "server": {"replicas": 2},
        "auth": {"tokens": {}, "public_url": "https://gw.example", "logins": [LOGIN]},
        "policy": {"assignments": [{"role": "viewer", "everyone": True}]},
        "limits": {
            "rates": [
                {"name": "calm", "calls": 60},
                {"name": "all", "calls": 1, "seconds": 0.5, "burst": 9, "by": ["global"], "tools": ["git_*", "x"]},
                {"name": "each", "calls": 5, "by": ["role", "tool"], "roles": ["ops"]},
            ],
            "quotas": [
                {"calls": 1, "sessions": 9, "streams": 3, "websockets": 2},
                {"sessions": 1, "principals": ["svc-*"]},
            ],
        },
        "audit": {
            "file": str(tmp_path / "audit.jsonl"),
            "syslog": "127.0.0.1:514",
            "otlp_url": "https://otlp.example/v1/logs?key=s3cr3t",
            "on_failure": "refuse",
        },
    }

    code, out, errors = run(tmp_path, tree, {})

    assert (code, errors) == (0, [])
    assert out[2:] == [
        "auth: tokens of its own (ES256), logins at corp",
        "policy: 0 roles and 3 built in; 1 assignment of viewer; everyone is viewer",
        "limit calm: 60 calls in 60 s, for each principal",
        "limit all: 1 call in 0.5 s, up to 9 at once, for everyone together, of tools git_* x",
        "limit each: 5 calls in 60 s, for each role and tool, of roles ops",
        "quota: at most 1 call, 9 sessions, 3 streams, 2 WebSockets of a principal at the same time; "
        "calls in shares of 2 ingress replicas",
        "quota: at most 1 session of a principal at the same time, of principals svc-*",
        f"audit: {tmp_path / 'audit.jsonl'}, arguments: digest; calls are refused while it cannot be written; "
        "also sent to syslog 127.0.0.1:514 and OTLP",
    ]


def test_one_ingress_replica_shares_a_quota_with_nobody(tmp_path):
    tree = {"mcpServers": {"web": {"url": "https://a.example/mcp"}}, "limits": {"quotas": [{"streams": 1}]}}

    _, out, _ = run(tmp_path, tree, {})

    assert out[-1] == "quota: at most 1 stream of a principal at the same time"
