"""How the gateway proves itself to servers, as a file says it; and secrets in files of their own."""

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actors.core.credential_settings import CredentialKind
from actors.core.endpoints import HttpEndpoint, StdioEndpoint
from actors.core.settings import Isolation
from serve_app.config import read_entry
from serve_app.config.description import description
from tests.support.config_files import load_tree, problems_of

AUTH = {"kind": "client_credentials", "client_id": "gw", "client_secret": "s3cret", "token_url": "https://as.example/t"}
EXCHANGE = {**AUTH, "kind": "token_exchange"}
ISSUES = {"tokens": {}, "public_url": "https://gw.example"}


def one(auth: object = AUTH, **server: Any) -> dict[str, Any]:
    """A file with one server."""
    return {"mcpServers": {"git": {"url": "https://mcp.example/mcp", "auth": auth, **server}}}


def test_the_credentials_of_a_server_are_read_and_its_older_transport_is_not_tried(tmp_path: Path) -> None:
    loaded = load_tree(tmp_path, one({**AUTH, "client_secret": "${SECRET}", "scopes": ["a"]}), {"SECRET": "x y"})

    backend = loaded.settings.backends[0]
    assert backend.auth is not None
    assert (backend.auth.kind, backend.auth.client_secret) == (CredentialKind.CLIENT_CREDENTIALS, "x y")
    assert backend.auth.scopes == ("a",)
    assert isinstance(backend.endpoint, HttpEndpoint)
    assert not backend.endpoint.sse_fallback
    assert backend.isolation is Isolation.SHARED
    assert "x y" not in repr(loaded) + "".join(description(loaded.settings, loaded.written))


def test_with_an_exchange_each_principal_has_a_conversation_whatever_else_is_said(tmp_path: Path) -> None:
    loaded = load_tree(tmp_path, {**one(EXCHANGE), "auth": ISSUES})

    assert loaded.settings.backends[0].isolation is Isolation.PRINCIPAL


@pytest.mark.parametrize("isolation", ["shared", "session"])
def test_an_exchange_and_another_isolation_contradict_each_other(tmp_path: Path, isolation: str) -> None:
    problems = problems_of(tmp_path, {**one(EXCHANGE, isolation=isolation), "auth": ISSUES})

    assert [line for line in problems if "isolation" in line and "must be `principal`, or left out" in line]


def test_an_exchange_needs_a_gateway_that_signs(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, one(EXCHANGE))

    assert [line for line in problems if "auth" in line and "needs `auth.tokens`" in line]


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        ({"url": "https://x.example", "type": "sse"}, "belongs to a server of the type http"),
        ({"url": "wss://x.example"}, "belongs to a server of the type http"),
        ({"command": "true"}, "belongs to a server of the type http"),
        ({"url": "https://x.example", "headers": {"authorization": "x"}}, "must not be given beside `auth`"),
    ],
)
def test_credentials_stand_beside_nothing_that_contradicts_them(
    tmp_path: Path, server: dict[str, Any], sentence: str
) -> None:
    problems = problems_of(tmp_path, {"mcpServers": {"git": {**server, "auth": AUTH}}}, {"PATH": os.defpath})

    assert [line for line in problems if sentence in line]
    assert "s3cret" not in "".join(problems)


def test_a_misspelt_setting_of_credentials_is_guessed(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, one({**AUTH, "token_ur": "x"}))

    assert [line for line in problems if "token_ur" in line and "token_url" in line.partition("is not")[2]]


def test_a_key_that_cannot_sign_is_refused_at_load(tmp_path: Path) -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "key.pem").chmod(0o600)
    signed = {key: value for key, value in AUTH.items() if key != "client_secret"} | {"private_key": "${file:key.pem}"}

    assert load_tree(tmp_path, one(signed)).settings.backends[0].auth is not None
    assert (
        "auth.private_key: must be a PEM private key for RS256"
        in problems_of(tmp_path, one(signed | {"algorithm": "RS256"}))[0]
    )


def test_files_hold_secrets_for_headers_variables_and_credentials(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("t0p\n")
    (tmp_path / "secret").chmod(0o640)
    servers = {
        "web": {"url": "https://x.example", "headers": {"X-Key": "Key ${file:secret}"}},
        "git": {"command": "/bin/true", "env": {"KEY": f"${{file:{tmp_path / 'secret'}}}", "LIT": "$${file:x}"}},
    }

    loaded = load_tree(tmp_path, {"mcpServers": servers})

    web, git = (backend.endpoint for backend in loaded.settings.backends)
    assert isinstance(web, HttpEndpoint)
    assert isinstance(git, StdioEndpoint)
    assert web.headers["X-Key"] == "Key t0p"
    assert git.env == {"KEY": "t0p", "LIT": "${file:x}"}
    assert loaded.notes == ()


@pytest.mark.parametrize(("held", "value"), [("one", "one"), ("two\r\n", "two"), ("${HOME} x\n", "${HOME} x")])
def test_a_file_is_read_anew_each_time_and_its_text_is_expanded_no_further(
    tmp_path: Path, held: str, value: str
) -> None:
    tree = {"mcpServers": {"web": {"url": "https://x.example", "headers": {"X": "${file:~/secret}"}}}}

    for text in ("before", held):
        (tmp_path / "secret").write_bytes(text.encode())
        endpoint = load_tree(tmp_path, tree, {"HOME": str(tmp_path)}).settings.backends[0].endpoint

    assert isinstance(endpoint, HttpEndpoint)
    assert endpoint.headers == {"X": value}


def test_only_one_line_break_at_the_end_is_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("one\n\n")
    tree = {"mcpServers": {"web": {"url": "https://x.example", "headers": {"X": "${file:secret}"}}}}

    assert ["line break" in line for line in problems_of(tmp_path, tree)] == [True]


def test_a_file_that_everybody_can_read_is_noted_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("t0p")
    (tmp_path / "secret").chmod(0o644)

    loaded = load_tree(tmp_path, {"mcpServers": {"web": {"url": "https://x.example/${file:secret}"}}})

    assert loaded.notes == ("everyone on this machine can read secret",)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("missing", "missing cannot be read: No such file or directory"),
        (".", "is not a file"),
        ("pipe", "pipe is not a file"),
        ("large", "large is larger than 65536 bytes"),
        ("binary", "binary does not hold UTF-8 text"),
        ("a\0b", "cannot be read: it is no path"),
    ],
)
def test_a_file_that_is_none_is_a_problem_that_says_nothing_of_what_it_holds(
    tmp_path: Path, path: str, sentence: str
) -> None:
    (tmp_path / "large").write_text("t0p" * 30_000)
    (tmp_path / "binary").write_bytes(b"t0p\xff")
    os.mkfifo(tmp_path / "pipe")

    problems = problems_of(
        tmp_path, {"mcpServers": {"web": {"url": "https://x.example", "headers": {"X": f"${{file:{path}}}"}}}}
    )

    assert len(problems) == 1
    assert sentence in problems[0]
    assert "t0p" not in problems[0]


def test_files_are_read_for_the_gateways_own_secrets_and_not_where_none_belong(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("t0p")
    (tmp_path / "secret").chmod(0o600)
    login = {"name": "corp", "issuer": "https://id.example", "client_id": "c", "client_secret": "${file:secret}"}
    servers = {"mcpServers": {"web": {"url": "https://x.example"}}}

    auth = load_tree(tmp_path, {**servers, "auth": {**ISSUES, "logins": [login]}}).settings.auth

    assert auth is not None
    assert auth.logins[0].client_secret == "t0p"
    assert "not here" in problems_of(tmp_path, {**servers, "server": {"host": "${file:secret}"}})[0]


def test_an_entry_that_is_added_has_credentials_too(tmp_path: Path) -> None:
    backend = read_entry("git", one()["mcpServers"]["git"], tmp_path, {})

    assert backend.auth is not None


def test_users_with_credentials_of_their_own_need_no_client_and_no_gateway_that_signs(tmp_path: Path) -> None:
    loaded = load_tree(tmp_path, one({"kind": "user"}))

    backend = loaded.settings.backends[0]
    assert backend.auth is not None
    assert (backend.auth.kind, backend.auth.client_id) == (CredentialKind.USER, "")
    assert backend.isolation is Isolation.PRINCIPAL
    assert "auth user" in "".join(description(loaded.settings, loaded.written))


@pytest.mark.parametrize(
    ("auth", "sentence"),
    [
        ({"client_secret": "s3cret", "issuer": "https://as.example"}, "has a proof of the client, but no client_id"),
        ({"client_id": "gw", "client_secret": "s3cret"}, "a secret is sent nowhere else"),
        ({"client_id": " "}, "must not be empty"),
        ({"token_url": "https://as.example/t"}, "is not all that is needed: use issuer"),
        ({"audience": "x"}, "belongs to token_exchange"),
    ],
)
def test_settings_of_users_that_cannot_work_or_could_leak_are_refused(
    tmp_path: Path, auth: dict[str, Any], sentence: str
) -> None:
    problems = problems_of(tmp_path, one({"kind": "user", **auth}))

    assert sentence in " ".join(problems)
    assert "s3cret" not in "".join(problems)
