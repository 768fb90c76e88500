"""Ranges and invariants of settings, however they were made."""

import copy
import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from actors.bus.link import LinkSettings
from actors.bus.listener import ENVELOPE_BYTES
from actors.core.auth_settings import ApiKeySettings, AuthSettings, IssuerSettings
from actors.core.endpoints import HttpEndpoint, SseEndpoint, StdioEndpoint, WebSocketEndpoint
from actors.core.rules import SettingsError, clashes
from actors.core.settings import MAX_MESSAGE_BYTES, BackendSettings, ServerSettings, Settings
from actors.core.traffic_settings import BreakerSettings

ENDPOINT = StdioEndpoint(command="server")
KEY = ApiKeySettings(name="ci", hash="sha256:" + "0" * 64)


def issuer(**changes: object) -> IssuerSettings:
    return IssuerSettings(**{"issuer": "https://id", "audience": "gateway", "key_file": "key.pem", **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "a__b"}, "name a name has 1 to 32 letters"),
        ({"name": "x" * 33}, "name a name has 1 to 32 letters"),
        ({"name": "git\n"}, "name a name has 1 to 32 letters"),
        ({"replicas": 0}, "replicas must be 1 to 100"),
        ({"replicas": 101}, "replicas must be 1 to 100"),
        ({"timeout": 0.0}, "timeout must be more than 0"),
        ({"timeout": math.inf}, "timeout must be more than 0"),
        ({"timeout": math.nan}, "timeout must be more than 0"),
        ({"start_timeout": -1.0}, "start_timeout must be more than 0"),
        ({"concurrency_limit": 0}, "concurrency_limit must be 1 to 100000"),
        ({"max_message_bytes": 16}, "max_message_bytes must be 1024 to 32505856 bytes"),
        ({"max_message_bytes": 32 * 1024 * 1024}, "max_message_bytes must be 1024 to 32505856 bytes"),
        ({"max_conversations": 0}, "max_conversations must be 1 to 10000"),
        ({"max_conversations": 10_001}, "max_conversations must be 1 to 10000"),
        ({"conversation_idle_seconds": 0.0}, "conversation_idle_seconds must be more than 0"),
        ({"park_seconds": math.inf}, "park_seconds must be more than 0"),
        ({"max_parked": 0}, "max_parked must be 1 to 100000"),
    ],
)
def test_a_backend_out_of_range_is_refused(changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        BackendSettings(**{"name": "git", "endpoint": ENDPOINT, **changes})


def test_the_largest_message_of_a_server_fits_into_a_frame_of_the_bus():
    assert LinkSettings().max_frame_bytes >= MAX_MESSAGE_BYTES + ENVELOPE_BYTES
    BackendSettings(name="git", endpoint=ENDPOINT, max_message_bytes=MAX_MESSAGE_BYTES)


@pytest.mark.parametrize("field", ["failure_threshold", "open_seconds", "probe_limit", "successes_to_close"])
def test_a_breaker_without_any_of_its_numbers_is_refused(field):
    with pytest.raises(SettingsError, match=field):
        BreakerSettings(**{field: 0})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"host": "0.0.0.0:80"}, "host must be an address or a host name"),
        ({"host": ""}, "host must be an address or a host name"),
        ({"port": 0}, "port must be 1 to 65535"),
        ({"port": 65_536}, "port must be 1 to 65535"),
        ({"replicas": 0}, "replicas must be 1 to 100"),
        ({"drain_seconds": -0.1}, "drain_seconds must be at least 0"),
        ({"max_body_bytes": 4}, "max_body_bytes must be 1024"),
        ({"allowed_hosts": ("https://gw.example.com",)}, "allowed_hosts must hold host names"),
        ({"allowed_origins": ("gw.example.com",)}, "allowed_origins must hold origins"),
        ({"allowed_origins": ("https://gw.example.com/page",)}, "allowed_origins must hold origins"),
        ({"start_concurrency": 0}, "start_concurrency must be 1 to 1000"),
        ({"session_idle_seconds": 0}, "session_idle_seconds must be more than 0"),
        ({"link_key_seconds": -1}, "link_key_seconds must be at least 0"),
        ({"link_key_seconds": 59.9}, "link_key_seconds must be 0 or at least 60 seconds"),
        ({"max_sessions": 0}, "max_sessions must be 1 to 50000"),
        ({"log_format": "xml"}, "log_format must be text or json"),
    ],
)
def test_a_gateway_out_of_range_is_refused(changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        ServerSettings(**changes)


def test_what_a_gateway_may_be_told_is_accepted():
    ServerSettings(host="::1", allowed_hosts=("gw.example.com:*", "[::1]:8080", "*"))
    ServerSettings(host="gw_1.example.com", allowed_origins=("*", "null", "https://app.example.com:8443"))
    ServerSettings(drain_seconds=0)
    ServerSettings(link_key_seconds=0)
    ServerSettings(link_key_seconds=60)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"command": " "}, "command must not be empty"),
        ({"cwd": ""}, "cwd must not be empty"),
        ({"args": ("a\0b",)}, "args must not hold a NUL"),
        ({"env": {"": "x"}}, "env has a variable whose name is empty or holds `=`"),
        ({"env": {"A=b": "x"}}, "env has a variable whose name is empty or holds `=`"),
        ({"env": {"A": "\0"}}, "env must not hold a NUL"),
    ],
)
def test_a_command_that_cannot_be_started_is_refused(changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        StdioEndpoint(**{"command": "server", **changes})


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://example.com", "url must begin with http:// or https://"),
        ("example.com/mcp", "url must begin with http:// or https://"),
        ("https:///mcp", "url names no host"),
        ("https://u:p@example.com", "url must not hold a user name or a password: send them in `headers`"),
        ("https://@example.com", "url must not hold a user name or a password"),
        ("https://example.com:99999", "url is not a valid URL"),
        ("https://[::1/mcp", "url is not a valid URL"),
        ("https://example.com/a b", "url must not hold spaces"),
        ("https://example.com/\r\nX: y", "url must not hold spaces"),
    ],
)
@pytest.mark.parametrize("kind", [HttpEndpoint, SseEndpoint])
def test_a_url_that_cannot_be_asked_is_refused(kind, url, sentence):
    with pytest.raises(SettingsError, match=sentence):
        kind(url=url)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://example.com/mcp", "url must begin with ws:// or wss://"),
        ("wss:///mcp", "url names no host"),
        ("wss://u:p@example.com", "url must not hold a user name or a password"),
    ],
)
def test_a_url_that_no_websocket_opens_at_is_refused(url, sentence):
    with pytest.raises(SettingsError, match=sentence):
        WebSocketEndpoint(url=url)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "a\x7f"])
@pytest.mark.parametrize(
    ("kind", "url"), [(HttpEndpoint, "https://x"), (SseEndpoint, "https://x"), (WebSocketEndpoint, "wss://x")]
)
def test_a_header_value_cannot_begin_another_line(kind, url, value):
    with pytest.raises(SettingsError, match=r"headers\.X-Key holds a line break or a control character"):
        kind(url=url, headers={"X-Key": value})


@pytest.mark.parametrize("name", ["", "X Key", "X-Key:", "X-Key\r\n", "Clé"])
def test_a_header_name_is_a_token(name):
    with pytest.raises(SettingsError, match="headers has a header name with characters"):
        HttpEndpoint(url="https://example.com", headers={name: "x"})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"issuer": ""}, "issuer must not be empty"),
        ({"audience": " "}, "audience must not be empty"),
        ({"algorithms": ()}, "algorithms must be one or more of HS256, RS256, ES256"),
        ({"algorithms": ("none",)}, "algorithms must be one or more of"),
        ({"algorithms": ("HS512",)}, "algorithms must be one or more of"),
        ({"algorithms": ("HS256", "RS256")}, "algorithms must not mix HS256 with public keys"),
        (
            {"key_file": None, "jwks_url": "https://id/jwks", "algorithms": ("HS256",)},
            "algorithms must not list HS256: a JWKS holds public keys only",
        ),
        ({"jwks_url": "https://id/jwks"}, "must not have both key_file and jwks_url"),
        ({"key_file": None, "jwks_url": "file:///jwks"}, "jwks_url must begin with http:// or https://"),
        ({"leeway_seconds": -1.0}, "leeway_seconds must be at least 0"),
    ],
)
def test_an_issuer_that_could_not_be_trusted_is_refused(changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        issuer(**changes)


@pytest.mark.parametrize("hashed", ["", "0" * 64, "sha256:" + "0" * 63, "sha256:" + "A" * 64, "md5:" + "0" * 64])
def test_an_api_key_is_stored_as_a_sha256_hash_only(hashed):
    with pytest.raises(SettingsError, match="hash must be `sha256:` and 64 hexadecimal digits in lower case"):
        ApiKeySettings(name="ci", hash=hashed)


def test_authentication_that_lets_nobody_in_is_refused():
    with pytest.raises(SettingsError, match="needs an issuer, an API key or tokens"):
        AuthSettings()


def test_one_issuer_or_key_name_twice_is_refused():
    with pytest.raises(SettingsError) as caught:
        AuthSettings(issuers=(issuer(), issuer(audience="other")), api_keys=(KEY, KEY), verdict_seconds=0)

    assert [path for path, _ in caught.value.reasons] == [("issuers",), ("api_keys",), ("verdict_seconds",)]


def test_backends_whose_names_differ_in_case_only_are_refused():
    backends = tuple(BackendSettings(name=name, endpoint=ENDPOINT) for name in ("git", "Git"))

    with pytest.raises(SettingsError, match="backends must have names that differ in more than"):
        Settings(backends=backends)


def test_an_error_names_everything_that_is_wrong_and_survives_a_journey():
    with pytest.raises(SettingsError) as caught:
        ServerSettings(port=0, replicas=0)

    assert copy.copy(caught.value).reasons == caught.value.reasons
    assert str(caught.value) == "port must be 1 to 65535; replicas must be 1 to 100"


@hypothesis_settings(deadline=None)
@given(st.lists(st.from_regex("[a-zA-Z]{1,3}", fullmatch=True)))
def test_clashes_leave_names_that_differ_in_any_case(names):
    clashing = clashes(names)

    folded = {name.casefold() for name in names}
    assert len(names) == len(folded) if not clashing else len(names) > len(folded)
    assert all(name.casefold() == earlier.casefold() for name, earlier in clashing.items())


def test_settings_printed_show_no_secret():
    secret = "s3cr3t-value"
    settings = Settings(
        backends=(
            BackendSettings(name="a", endpoint=StdioEndpoint(command="x", args=(secret,), env={"TOKEN": secret})),
            BackendSettings(
                name="b", endpoint=HttpEndpoint(url=f"https://x/?key={secret}", headers={"Authorization": secret})
            ),
            BackendSettings(
                name="c", endpoint=SseEndpoint(url=f"https://x/?key={secret}", headers={"Authorization": secret})
            ),
            BackendSettings(
                name="d", endpoint=WebSocketEndpoint(url=f"wss://x/?key={secret}", headers={"Authorization": secret})
            ),
        ),
        auth=AuthSettings(api_keys=(KEY,)),
    )

    printed = repr(settings)

    assert secret not in printed
    assert KEY.hash not in printed
