"""No error and no description shows what a variable, `env` or `headers` hold."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.cli.validate import validate
from serve_app.config.reading import read
from tests.support.config_files import HTTP, STDIO

secrets = st.from_regex(r"[A-Za-z0-9+/=_.~-]{12,40}", fullmatch=True).map(lambda text: f"Zq7{text}")

SERVERS = [
    {**STDIO, "env": {"TOKEN": "<>"}},
    {**STDIO, "env": {"TOKEN": "<>"}, "args": ["${SECRET}"], "timeout": 0},
    {**STDIO, "env": {"TOKEN": "<>", "PORT": 1, "<>": "x", "A=<>": "x"}},
    {**STDIO, "env": {"TOKEN": "<>\0"}, "args": ["${SECRET}\0"]},
    {**STDIO, "env": {"TOKEN": ["<>"]}},
    {**STDIO, "env": ["TOKEN=<>"]},
    {**STDIO, "env": "TOKEN=<>"},
    {**STDIO, "env": {"TOKEN": "<>${NOWHERE}"}},
    {**STDIO, "env": {"TOKEN": "<>${broken"}},
    {**STDIO, "env": {"TOKEN": "${NOWHERE <>}"}},
    {**STDIO, "cwd": "${SECRET}", "env": {"PATH": "<>"}},
    {"command": "${SECRET}"},
    {"command": "./${SECRET}"},
    {"command": "${SECRET}", "env": {"PATH": "<>"}, "type": "http"},
    {**STDIO, "type": "${SECRET}"},
    {**HTTP, "headers": {"Authorization": "Bearer <>"}, "timeout": "${SECRET}"},
    {**HTTP, "headers": {"Authorization": "Bearer <>\n"}},
    {**HTTP, "headers": {"Authorization: Bearer <>": "x\n", "X": 5}},
    {**HTTP, "headers": {"Authorization": {"Bearer": "<>"}}},
    {**HTTP, "headers": ["Authorization: <>"], "replicas": "${SECRET}", "breaker": "${SECRET}"},
    {"url": "${SECRET}"},
    {"url": "https://${SECRET}@example.com/"},
    {"url": "https://user:<>@example.com/"},
    {"url": "https://example.com/?key=${SECRET}&other=<>"},
    {"url": "https://example.com:${SECRET}/"},
    {"url": "https://example.com/ ${SECRET}"},
    {"urls": ["https://example.com/?key=<>", {"url": "https://${SECRET}@example.com/", "weight": "${SECRET}"}]},
    {"urls": ["https://example.com/?key=<>", "https://example.com/?key=${SECRET}"], "timeout": 0},
    {**HTTP, "runtime_env": {"working_dir": "${SECRET}", "env_vars": {"TOKEN": "<>"}}},
    {**STDIO, "runtime_env": {"env_vars": {"TOKEN": "<>"}}, "replicas": {"min": "${SECRET}", "max": "<>"}},
]

AUTHS = [
    {"api_keys": [{"name": "ci", "hash": "<>"}]},
    {"api_keys": [{"name": "ci", "hash": "${SECRET}"}]},
    {"api_keys": [{"name": "ci", "hash": ["<>"]}]},
    {"api_keys": ["<>"]},
    {"issuers": [{"issuer": "i", "audience": "a", "key_file": "${SECRET}", "algorithms": ["${SECRET}"]}]},
    {"issuers": [{"issuer": "i", "audience": "a", "key_file": "${SECRET}"}]},
    {"issuers": [{"issuer": "i", "audience": "a", "jwks_url": "https://x:${SECRET}@x", "leeway_seconds": "${SECRET}"}]},
    {"issuers": [{"issuer": "i", "audience": "a", "jwks_url": "${SECRET}"}]},
    "${SECRET}",
]

GATEWAYS = [
    {"naming": "${SECRET}", "port": "${SECRET}"},
    {"host": "http://${SECRET}", "log_format": "${SECRET}"},
    {"allowed_hosts": ["/${SECRET}"], "allowed_origins": ["${SECRET}"], "replicas": {"${SECRET}": "<>"}},
    ["${SECRET}"],
]


FAULTS = [
    *({"mcpServers": {"a": server}} for server in SERVERS),
    *({"mcpServers": {"a": HTTP}, "auth": auth} for auth in AUTHS),
    *({"mcpServers": {"a": HTTP}, "server": server} for server in GATEWAYS),
    {"mcpServers": {"c d": SERVERS[0]}, "inputs": ["<>"]},
    {"mcpServers": "${SECRET}", "server": "<>"},
]


def shown(path, secret, text):
    """All that `validate` prints about a file, after a check that it printed to one stream only."""
    path.write_text(text.replace("<>", secret))
    out, errors = io.StringIO(), io.StringIO()
    code = validate(path, out, errors, {"SECRET": secret})
    assert (code == 0, code == 2) == (bool(out.getvalue()), bool(errors.getvalue()))
    return out.getvalue() + errors.getvalue()


def keys_of(tree):
    """All keys in a tree: damage can make one of the secret, as in the YAML `{TOKEN:, secret}`."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [*(tree if isinstance(tree, dict) else ()), *(key for value in inner for key in keys_of(value))]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_secret_is_never_shown(tmp_path, fault):
    @settings(deadline=None, max_examples=10)
    @given(secrets)
    def property_holds(secret):
        assert secret not in shown(tmp_path / "c.json", secret, json.dumps(fault))

    property_holds()


@settings(deadline=None)
@given(secret=secrets, fault=st.sampled_from(FAULTS), place=st.integers(0), damage=st.sampled_from("{}[]:,'\"*&!%\\"))
def test_a_secret_in_a_damaged_file_is_never_shown(tmp_path_factory, secret, fault, place, damage):
    text = json.dumps(fault)
    place %= len(text)
    damaged = text[:place] + damage + text[place:]

    for suffix in ("yaml", "json"):
        path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
        printed = shown(path, secret, damaged)
        assert secret not in printed or any(secret in key for key in keys_of(read(path)))
