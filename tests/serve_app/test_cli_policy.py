"""`only1mcp policy explain`."""

import json
from pathlib import Path

import pytest

from serve_app.cli.main import main
from tests.support.config_files import HTTP

HASH = "sha256:" + "0" * 64
POLICY = {
    "roles": {
        "ops": {
            "inherits": ["viewer"],
            "allow": [
                {"tools": ["git_*"], "servers": ["web"], "when": {"mfa": {"amr": ["otp"], "max_age": 600}}},
                {"name": "in data", "tools": ["put"], "when": {"arguments": {"required": ["path"]}}},
                {"methods": ["completion/complete"], "admin": ["reload"]},
            ],
            "deny": [{"name": "not from there", "tools": ["*"], "when": {"networks": ["10.0.0.0/8"]}}],
        }
    },
    "assignments": [
        {"role": "ops", "subjects": ["alice"], "issuers": ["https://id"]},
        {"role": "ops", "groups": ["robots"]},
        {"role": "viewer", "everyone": True},
    ],
}
AUTH = {
    "issuers": [{"issuer": "https://id", "audience": "gw", "jwks_url": "https://id/jwks"}],
    "api_keys": [{"name": "ci", "hash": HASH, "groups": ["robots"]}],
}
FRESH = ("--amr", "otp", "--auth-time", "2027-01-31T09:00Z", "--at", "2027-01-31T09:10Z")


def explain(folder: Path, *words: str, tree: object = None) -> int:
    path = folder / "only1mcp.json"
    path.write_text(json.dumps(tree or {"mcpServers": {"web": HTTP}, "auth": AUTH, "policy": POLICY}))
    return main(["policy", "explain", "--config", str(path), *words])


@pytest.mark.parametrize(
    ("words", "code", "rule"),
    [
        (("--as", "alice", "--tool", "web/git_log", *FRESH), 0, "ops.allow[0]"),
        (("--as", "alice", "--tool", "web/git_log", *FRESH[:2]), 1, "nothing allows it"),
        (("--as", "alice", "--tool", "web/git_log", *FRESH, "--ip", "10.1.1.1"), 1, "not from there"),
        (("--as", "alice", "--issuer", "https://other", "--tool", "web/git_log", *FRESH), 1, "nothing allows it"),
        (("--as", "bob", "--tool", "web/git_log", *FRESH), 1, "nothing allows it"),
        (("--as", "bob", "--group", "robots", "--tool", "web/git_log", *FRESH), 0, "ops.allow[0]"),
        (("--as", "bob", "--role", "ops", "--tool", "web/git_log", *FRESH), 0, "ops.allow[0]"),
        (("--key", "ci", "--tool", "web/put", "--arguments", '{"path": "x"}'), 0, "in data"),
        (("--key", "ci", "--tool", "web/put", "--arguments", "{}"), 1, "nothing allows it"),
        (("--key", "ci", "--tool", "web/put"), 1, "nothing allows it"),
        (("--tool", "web/get", "--annotation", "readOnlyHint=true"), 0, "viewer: tools that only read"),
        (("--tool", "web/get"), 1, "nothing allows it"),
        (("--prompt", "web/hello"), 0, "viewer: what only reads"),
        (("--resource", "web/file:///a/b"), 0, "viewer: what only reads"),
        (("--key", "ci", "--method", "completion/complete"), 0, "ops.allow[2]"),
        (("--method", "completion/complete", "--server", "web"), 1, "nothing allows it"),
        (("--method", "tools/list"), 0, "it needs no permission"),
        (("--key", "ci", "--admin", "reload"), 0, "ops.allow[2]"),
        (("--admin", "reload"), 1, "nothing allows it"),
    ],
)
def test_a_question_is_answered_as_the_gateway_would_decide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, rule: str
) -> None:
    assert explain(tmp_path, *words) == code

    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("allowed: " if code == 0 else "denied: ")
    assert said[1] == f"rule: {rule}"


def test_the_way_to_a_decision_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain(tmp_path, "--as", "alice", "--tool", "wbe/git_log")

    assert capsys.readouterr().out.splitlines() == [
        "denied: tool wbe/git_log for alice (token)",
        "rule: nothing allows it",
        "roles: ops, viewer",
        "note: no server of this name is configured",
        "",
        "effect  role    permission                    because",
        "deny    ops     not from there                the request does not come from one of its networks",
        "allow   ops     ops.allow[0]                  it is not about this server",
        "allow   ops     ops.allow[2]                  it says nothing of tools",
        "allow   viewer  viewer: what only reads       it says nothing of tools",
        "allow   viewer  viewer: tools that only read  readOnlyHint of the tool is not true",
        "allow   viewer  viewer: administration        it says nothing of tools",
        "allow   ops     in data                       none of its globs fits",
    ]


def test_it_is_there_for_programs_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = explain(tmp_path, "--prompt", "web/hello", "--json")

    page = json.loads(capsys.readouterr().out)
    assert (code, page["allowed"], page["rule"]) == (0, True, "viewer: what only reads")
    assert page["action"] == {"kind": "prompt", "server": "web", "name": "hello"}
    assert page["roles"] == ["viewer"]
    assert page["steps"][0] == {
        "rule": "viewer: what only reads",
        "role": "viewer",
        "effect": "allow",
        "applies": True,
        "reason": "it applies",
    }


def test_without_a_policy_the_answer_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = {"mcpServers": {"web": HTTP}, "auth": AUTH}

    assert explain(tmp_path, "--tool", "web/x", tree=tree) == 0
    assert explain(tmp_path, "--key", "ci", "--admin", "reload", tree=tree) == 1
    assert explain(tmp_path, "--as", "a", "--scope", "only1mcp:admin", "--admin", "reload", tree=tree) == 0
    said = capsys.readouterr().out
    assert "rule: no policy is configured" in said
    assert "note: nobody comes in here without a credential" in said
    assert "rule: the scope only1mcp:admin" in said


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--tool", "web"),
        ("--tool", "/x"),
        ("--tool", "web/x", "--prompt", "web/x"),
        ("--tool", "web/x", "--as", "a", "--key", "b"),
        ("--admin", "relaod"),
        ("--tool", "web/x", "--at", "tomorrow"),
        ("--tool", "web/x", "--at", "nan"),
        ("--tool", "web/x", "--at", "1e300"),
        ("--tool", "web/x", "--annotation", "readOnly=true"),
        ("--tool", "web/x", "--annotation", "readOnlyHint=1"),
        ("--tool", "web/x", "--arguments", "{"),
    ],
)
def test_a_question_that_is_none_explains_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as ended:
        explain(tmp_path, *words)

    assert ended.value.code == 2
    assert "usage: only1mcp policy explain" in capsys.readouterr().err


def test_a_role_that_there_is_not_and_a_wrong_configuration_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = explain(tmp_path, "--role", "opps", "--tool", "web/x")
    wrong = explain(tmp_path, "--tool", "web/x", tree={"mcpServers": {}, "policy": {}})

    said = capsys.readouterr()
    assert (unknown, wrong, said.out) == (2, 2, "")
    assert "the policy has no role opps" in said.err
    assert "policy.assignments: must not be empty" in said.err
