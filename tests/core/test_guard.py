import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.guard import MAX_REMEMBERED, Guard, Objection, is_loopback
from actors.core.settings import ServerSettings

LOOPBACK = ServerSettings(host="127.0.0.1")
PUBLIC = ServerSettings(host="0.0.0.0")
LOOPBACK_HOSTS = ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.9.8.7", "[::1]", "[::1]:8080"]
STRANGE_HOSTS = [
    None,
    "",
    "evil.example",
    "127.evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "localhost:8080@evil.example",
    "evil.example#localhost",
    "localhost:",
    "localhost:port",
    "127.0.0.1,evil.example",
    "10.0.0.1:8080",
    "[::2]",
    " localhost",
]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "LocalHost", "::1", "[::1]"])
def test_loopback_addresses_are_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "gateway.example", "127.1", "localhost.example"])
def test_other_addresses_are_no_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("bound_to", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
def test_a_loopback_gateway_admits_loopback_hosts(bound_to: str, host: str) -> None:
    assert Guard(ServerSettings(host=bound_to)).check(host, None) is None


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_a_loopback_gateway_refuses_other_hosts(host: str | None) -> None:
    assert Guard(LOOPBACK).check(host, None) is Objection.HOST


def test_a_listed_host_is_admitted_at_every_port() -> None:
    guard = Guard(ServerSettings(allowed_hosts=("Gateway.example", "other.example:*")))

    assert guard.check("gateway.example", None) is None
    assert guard.check("gateway.example:8443", None) is None
    assert guard.check("other.example:1", None) is None
    assert guard.check("third.example", None) is Objection.HOST


def test_a_host_listed_with_a_port_is_admitted_at_that_port_only() -> None:
    guard = Guard(ServerSettings(allowed_hosts=("gateway.example:443",)))

    assert guard.check("gateway.example:443", None) is None
    assert guard.check("gateway.example", None) is None
    assert guard.check("gateway.example:8443", None) is Objection.HOST


def test_a_public_gateway_admits_any_host_unless_hosts_are_listed() -> None:
    listed = Guard(ServerSettings(host="0.0.0.0", allowed_hosts=("gateway.example",)))

    assert Guard(PUBLIC).check("any.example", None) is None
    assert Guard(PUBLIC).check(None, None) is None
    assert listed.check("gateway.example", None) is None
    assert listed.check("localhost:8080", None) is None
    assert listed.check("any.example", None) is Objection.HOST


def test_a_star_admits_any_host() -> None:
    assert Guard(ServerSettings(allowed_hosts=("*",))).check("any.example", None) is None


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
def test_a_loopback_gateway_admits_pages_of_loopback_addresses(scheme: str, host: str) -> None:
    assert Guard(LOOPBACK).check("127.0.0.1:8080", f"{scheme}://{host}") is None


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://evil.example",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "http://localhost:8080/",
        "http://localhost:8080, http://evil.example",
        "file://localhost",
        "localhost",
        "http://",
    ],
)
def test_a_loopback_gateway_refuses_other_origins(origin: str) -> None:
    assert Guard(LOOPBACK).check("localhost:8080", origin) is Objection.ORIGIN


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("gateway.example", "https://gateway.example"),
        ("gateway.example:443", "https://gateway.example"),
        ("gateway.example", "https://Gateway.example:443"),
        ("gateway.example:8443", "https://gateway.example:8443"),
        ("gateway.example", "http://gateway.example:80"),
    ],
)
def test_a_page_of_the_same_origin_is_admitted(host: str, origin: str) -> None:
    assert Guard(PUBLIC).check(host, origin) is None


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("gateway.example", "https://other.example"),
        ("gateway.example", "https://gateway.example:8443"),
        ("gateway.example:8443", "https://gateway.example"),
        ("gateway.example:80", "https://gateway.example"),
        (None, "https://gateway.example"),
        ("gateway.example", "null"),
        ("gateway.example", "http://localhost"),
    ],
)
def test_a_public_gateway_refuses_pages_of_other_origins(host: str | None, origin: str) -> None:
    assert Guard(PUBLIC).check(host, origin) is Objection.ORIGIN


def test_listed_origins_are_admitted_whatever_their_scheme() -> None:
    origins = ("https://App.example:443", "vscode-webview://panel", "null")
    guard = Guard(ServerSettings(allowed_origins=origins))

    assert guard.check("localhost", "https://app.example") is None
    assert guard.check("localhost", "vscode-webview://panel") is None
    assert guard.check("localhost", "null") is None
    assert guard.check("localhost", "http://app.example") is Objection.ORIGIN
    assert guard.check("localhost", "https://app.example:8443") is Objection.ORIGIN


def test_a_star_admits_any_origin_but_not_any_host() -> None:
    guard = Guard(ServerSettings(allowed_origins=("*",)))

    assert guard.check("localhost", "https://any.example") is None
    assert guard.check("evil.example", "https://any.example") is Objection.HOST


def test_a_check_gives_the_same_answer_again_and_remembers_a_bounded_number() -> None:
    guard = Guard(PUBLIC)

    answers = [guard.check(f"h{number}.example", f"http://h{number}.example") for number in range(3 * MAX_REMEMBERED)]
    longest = guard.check("h" * 100_000, None)

    assert not any([*answers, longest])
    assert guard.check("h1.example", "http://h1.example") is None
    assert guard.check("h1.example", "http://h2.example") is Objection.ORIGIN
    assert len(guard._remembered) <= MAX_REMEMBERED
    assert max(len(host or "") for host, _ in guard._remembered) < 1000


@given(
    host=st.text(string.ascii_lowercase + string.digits + ".:-[]@#/%", max_size=30),
    suffix=st.sampled_from([".evil.example", "@evil.example", "evil"]),
)
def test_a_loopback_gateway_never_admits_a_host_that_ends_elsewhere(host: str, suffix: str) -> None:
    guard = Guard(LOOPBACK)

    assert guard.check(host + suffix, None) is Objection.HOST
    assert guard.check("localhost", f"http://{host}{suffix}") is Objection.ORIGIN
