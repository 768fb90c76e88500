"""The sections `server` and `auth`."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from actors.core.settings import Naming, ServerSettings, Settings
from serve_app.config import check_exposure, demonstration
from tests.support.config_files import HTTP, load_tree, problems_of

HASH = "sha256:" + "0" * 64
ISSUER = {"issuer": "https://id.example.com", "audience": "gateway"}
JWKS = {**ISSUER, "jwks_url": "https://id.example.com/jwks"}


def with_auth(auth):
    return {"mcpServers": {"web": HTTP}, "auth": auth}


def with_server(server):
    return {"mcpServers": {"web": HTTP}, "server": server}


@pytest.fixture(scope="module")
def keys():
    """The text of key files."""
    rsa_key = rsa.generate_private_key(65537, 2048)
    public = {
        "rsa": rsa_key,
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
    }
    texts = {
        name: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for name, key in public.items()
    }
    private = rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {**texts, "private": private, "secret": b"x" * 32 + b"\n", "short": b"x" * 31 + b"\n", "empty": b""}


def test_the_gateway_is_set_up_from_the_file(tmp_path):
    server = {"host": "${HOST}", "port": 9000, "naming": "on_collision", "drain_seconds": 3, "allowed_hosts": ["gw"]}

    loaded = load_tree(tmp_path, with_server(server), {"HOST": "::1"})

    assert loaded.settings.server == ServerSettings(
        host="::1", port=9000, naming=Naming.ON_COLLISION, drain_seconds=3.0, allowed_hosts=("gw",)
    )
    assert loaded.settings.auth is None


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (None, "server: must be a mapping of names to values"),
        ({"port": "8080"}, "server.port: must be a whole number"),
        ({"port": 70000}, "server.port: must be 1 to 65535"),
        ({"prot": 1}, "server.prot: is not a setting; did you mean 'port'?"),
        ({"naming": "short"}, "server.naming: must be 'qualified', 'on_collision' or 'none'"),
        ({"host": 127}, "server.host: must be a string: put it in quotes"),
        ({"allowed_hosts": "gw"}, "server.allowed_hosts: must be a list"),
        ({"allowed_hosts": ["gw", 1]}, "server.allowed_hosts[1]: must be a string: put it in quotes"),
        ({"log_format": "xml"}, "server.log_format: must be text or json"),
        ({"host": "${NOWHERE}"}, "server.host: the variable NOWHERE is not set"),
    ],
)
def test_a_gateway_that_cannot_work_is_refused_with_one_sentence(tmp_path, server, problem):
    assert problems_of(tmp_path, with_server(server)) == [problem]


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", "rsa"), ("ES256", "ec"), ("HS256", "secret")])
def test_an_issuer_with_the_key_for_its_algorithm_is_accepted(tmp_path, keys, algorithm, key):
    (tmp_path / "key").write_bytes(keys[key])
    issuer = {**ISSUER, "algorithms": [algorithm], "key_file": "key"}

    auth = load_tree(tmp_path, with_auth({"issuers": [issuer]})).settings.auth

    assert auth.issuers[0].algorithms == (algorithm,)
    assert auth.issuers[0].key_file == str(tmp_path / "key")


@pytest.mark.parametrize(
    ("algorithm", "key", "sentence"),
    [
        ("RS256", "ec", "must hold a PEM public key for RS256, of at least 2048 bits if it is RSA"),
        ("RS256", "private", "must hold a PEM public key for RS256, of at least 2048 bits if it is RSA"),
        ("RS256", "empty", "must hold a PEM public key for RS256, of at least 2048 bits if it is RSA"),
        ("ES256", "p384", "must hold a PEM public key for ES256, of at least 2048 bits if it is RSA"),
        ("HS256", "rsa", "must hold a shared secret of at least 32 bytes, and no PEM key"),
        ("HS256", "short", "must hold a shared secret of at least 32 bytes, and no PEM key"),
    ],
)
def test_a_key_file_that_does_not_fit_is_refused(tmp_path, keys, algorithm, key, sentence):
    (tmp_path / "key").write_bytes(keys[key])
    issuer = {**ISSUER, "algorithms": [algorithm], "key_file": "key"}

    assert problems_of(tmp_path, with_auth({"issuers": [issuer]})) == [f"auth.issuers[0].key_file: {sentence}"]


def test_a_key_file_that_is_no_key_at_all_is_not_read(tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 64 * 1024 + b"x")
    issuers = [
        {**ISSUER, "key_file": "missing.pem"},
        {**ISSUER, "issuer": "b", "key_file": "/dev/zero"},
        {**ISSUER, "issuer": "c", "key_file": "large"},
    ]

    assert problems_of(tmp_path, with_auth({"issuers": issuers})) == [
        "auth.issuers[0].key_file: is not a file",
        "auth.issuers[1].key_file: is not a file",
        "auth.issuers[2].key_file: is larger than 65536 bytes",
    ]


def test_key_sets_and_api_keys_are_accepted(tmp_path):
    auth = {"issuers": [JWKS], "api_keys": [{"name": "ci", "hash": "${HASH}"}], "verdict_seconds": 5}

    loaded = load_tree(tmp_path, with_auth(auth), {"HASH": HASH}).settings.auth

    assert (loaded.issuers[0].jwks_url, loaded.issuers[0].algorithms) == (JWKS["jwks_url"], ("RS256",))
    assert (loaded.api_keys[0].hash, loaded.verdict_seconds) == (HASH, 5.0)


@pytest.mark.parametrize(
    ("auth", "problem"),
    [
        (None, "auth: must be a mapping of names to values"),
        ([], "auth: must be a mapping of names to values"),
        ({}, "auth: needs an issuer, an API key or tokens: nobody could come in"),
        ({"issuers": [], "api_keys": []}, "auth: needs an issuer, an API key or tokens: nobody could come in"),
        ({"issuer": [JWKS]}, "auth.issuer: is not a setting; did you mean 'issuers'?"),
        ({"issuers": JWKS}, "auth.issuers: must be a list"),
        (
            {"issuers": [{**ISSUER, "issuer": "x"}]},
            "auth.issuers[0]: needs a key_file, a jwks_url or introspection, or an issuer that is a URL, "
            "where keys are announced",
        ),
        (
            {"issuers": [{**ISSUER, "algorithms": ["HS256"]}]},
            "auth.issuers[0].algorithms: must not list HS256: a JWKS holds public keys only",
        ),
        ({"issuers": [JWKS], "public_url": "https://x/y"}, "auth.public_url: must have no path, query or fragment"),
        ({"issuers": [{**JWKS, "key_file": "x"}]}, "auth.issuers[0]: must not have both key_file and jwks_url"),
        (
            {"issuers": [{**JWKS, "key_flie": "x"}]},
            "auth.issuers[0].key_flie: is not a setting; did you mean 'key_file'?",
        ),
        (
            {"issuers": [{**JWKS, "algorithms": ["HS256"]}]},
            "auth.issuers[0].algorithms: must not list HS256: a JWKS holds public keys only",
        ),
        (
            {"issuers": [{**JWKS, "algorithms": ["none"]}]},
            "auth.issuers[0].algorithms: must be one or more of HS256, RS256, ES256, EdDSA",
        ),
        (
            {"issuers": [{**ISSUER, "key_file": "x", "algorithms": ["HS256", "RS256"]}]},
            "auth.issuers[0].algorithms: must not mix HS256 with public keys",
        ),
        ({"issuers": [{**JWKS, "jwks_url": 7}]}, "auth.issuers[0].jwks_url: must be a string: put it in quotes"),
        ({"issuers": [{**JWKS, "jwks_url": "jwks"}]}, "auth.issuers[0].jwks_url: must begin with http:// or https://"),
        ({"issuers": [{"issuer": "x", "jwks_url": "https://x"}]}, "auth.issuers[0].audience: is missing"),
        ({"issuers": [JWKS, JWKS]}, "auth.issuers: must not name one issuer twice"),
        (
            {
                "issuers": [JWKS, {**JWKS, "issuer": "https://GW.example/"}],
                "tokens": {},
                "public_url": "https://gw.example",
            },
            "auth.issuers[1].issuer: is what the gateway calls itself in its own tokens: set `auth.tokens.issuer`",
        ),
        (
            {"issuers": [{**JWKS, "issuer": "http://127.0.0.1:8080"}], "tokens": {}},
            "auth.issuers[0].issuer: is what the gateway calls itself in its own tokens: set `auth.tokens.issuer`",
        ),
        (
            {"issuers": [JWKS], "tokens": {"issuer": JWKS["issuer"]}, "public_url": "https://gw.example"},
            "auth.issuers[0].issuer: is what the gateway calls itself in its own tokens: set `auth.tokens.issuer`",
        ),
        ({"api_keys": [{"name": "ci", "hash": HASH}] * 2}, "auth.api_keys: must not use one name twice"),
        (
            {"api_keys": [{"name": "ci", "hash": "o1m_plain"}]},
            "auth.api_keys[0].hash: must be `sha256:` and 64 hexadecimal digits in lower case",
        ),
        ({"api_keys": [{"name": "ci"}]}, "auth.api_keys[0].hash: is missing"),
        (
            {"api_keys": [{"name": "ci", "hash": "${NOWHERE}"}]},
            "auth.api_keys[0].hash: the variable NOWHERE is not set",
        ),
    ],
)
def test_authentication_that_cannot_work_is_refused_with_one_sentence(tmp_path, auth, problem):
    assert problems_of(tmp_path, with_auth(auth)) == [problem]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gw.example.com"])
def test_an_address_that_others_reach_needs_authentication(tmp_path, host):
    auth = {"api_keys": [{"name": "ci", "hash": HASH}]}

    bare = load_tree(tmp_path, with_server({"host": host})).settings
    guarded = load_tree(tmp_path, {**with_server({"host": host}), "auth": auth}).settings

    assert check_exposure(bare) == (
        f"server.host {host} is reachable by others: add an `auth` section or use 127.0.0.1"
    )
    assert check_exposure(guarded) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_loopback_address_needs_no_authentication(host):
    settings = Settings(backends=demonstration().backends, server=ServerSettings(host=host))

    assert check_exposure(settings) is None


def test_an_issuer_may_have_the_gateway_s_name_where_the_gateway_issues_nothing_or_calls_itself_otherwise(tmp_path):
    theirs = {"issuers": [{**JWKS, "issuer": "https://gw.example"}], "public_url": "https://gw.example"}

    assert load_tree(tmp_path, with_auth(theirs)).settings.auth
    assert load_tree(tmp_path, with_auth({**theirs, "tokens": {"issuer": "https://tokens.example"}})).settings.auth


# --- audit ---


def with_audit(audit):
    return {"mcpServers": {"web": HTTP}, "audit": audit}


@pytest.mark.parametrize(
    "syslog", ["127.0.0.1:514", "localhost:1", "log.example.com:65535", "[::1]:514", "/dev/log", "/nowhere/yet"]
)
def test_a_syslog_is_a_host_with_a_port_or_a_socket(tmp_path, syslog):
    assert load_tree(tmp_path, with_audit({"syslog": syslog})).settings.audit.syslog == syslog


@pytest.mark.parametrize(
    "syslog",
    [
        "",
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:99999",
        "localhost:syslog",
        ":514",
        "[]:514",
        "::1:514",
        "udp://localhost:514",
        "me@localhost:514",
        "two words:514",
        "log/socket",
        "localhost:514/x",
        "localhost:\u0665",
    ],
)
def test_a_syslog_that_cannot_be_reached_by_its_address_is_refused(tmp_path, syslog):
    assert problems_of(tmp_path, with_audit({"syslog": syslog})) == [
        "audit.syslog: must be host:port, with a port from 1 to 65535, or the path of a socket from the root on"
    ]


def test_a_path_that_no_socket_can_have_or_that_is_another_file_s_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")

    assert problems_of(tmp_path, with_audit({"syslog": str(file)})) == ["audit.syslog: is not a socket"]
    assert problems_of(tmp_path, with_audit({"syslog": "/" + "x" * 107})) == [
        "audit.syslog: must be a path of at most 107 bytes"
    ]
