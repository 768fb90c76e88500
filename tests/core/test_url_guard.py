"""What somebody outside names is fetched only where everybody could fetch it, or where the configuration says."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.url_guard import UrlGuard, is_loopback, origin_of

GUARD = UrlGuard(["https://mcp.example/mcp", "http://10.0.0.7:8443/mcp"])
TRIAL = UrlGuard(["http://127.0.0.1:9/mcp"])

INNER = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fd00:ec2::254",
    "fe80::1%eth0",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("address", INNER)
def test_no_address_is_connected_to_that_is_not_public(address: str):
    assert GUARD.address_fault(address) == "it leads to an address that is not public"


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_may_be_connected_to(address: str):
    assert GUARD.address_fault(address) is None


@pytest.mark.parametrize("address", [address.partition("%")[0] for address in INNER])
def test_an_inner_address_in_a_url_is_refused_by_its_text(address: str):
    host = f"[{address}]" if ":" in address else address

    assert GUARD.fault(f"https://{host}/x") == "it leads to an address that is not public"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://auth.example/token", None),
        ("https://auth.example:8443/token?x=1", None),
        ("http://auth.example/token", "it is not https"),
        ("http://mcp.example/mcp", "it is not https"),
        ("http://10.0.0.7:8443/other", None),
        ("https://10.0.0.7:8443/other", "it leads to an address that is not public"),
        ("http://10.0.0.7/other", "it is not https"),
        ("http://localhost/", "it is not https"),
        ("https://user@auth.example/", "it is not a URL of HTTP, or names a user"),
        ("https://mcp.example@10.0.0.1/", "it is not a URL of HTTP, or names a user"),
        ("https://auth.example\\@10.0.0.1/", "it is not a URL of HTTP, or names a user"),
        ("file:///etc/passwd", "it is not a URL of HTTP, or names a user"),
        ("https:///path", "it is not a URL of HTTP, or names a user"),
        ("https://auth.example/a b", "it is not a URL of HTTP, or names a user"),
        (f"https://auth.example/{'a' * 3000}", "it is not a URL of HTTP, or names a user"),
    ],
)
def test_a_url_is_judged_by_its_text(url: str, fault: str | None):
    assert GUARD.fault(url) == fault


def test_this_machine_may_be_asked_only_if_the_configuration_is_about_this_machine():
    assert TRIAL.fault("http://localhost:4711/token") is None
    assert TRIAL.address_fault("127.0.0.1") is None
    assert TRIAL.address_fault("10.0.0.1") == "it leads to an address that is not public"
    assert GUARD.fault("https://127.0.0.1/token") == "it leads to an address that is not public"


def test_trust_is_in_an_origin_and_not_in_a_host():
    assert GUARD.is_trusted("https://MCP.example:443/.well-known/x")
    assert not GUARD.is_trusted("https://mcp.example:444/")
    assert not GUARD.is_trusted("https://mcp.example.evil.example/")


@given(st.ip_addresses())
def test_never_is_an_address_let_through_that_the_registry_does_not_call_global(address: ipaddress.IPv4Address):
    if GUARD.address_fault(str(address)) is None:
        inner = getattr(address, "ipv4_mapped", None)
        assert address.is_global or (inner is not None and inner.is_global)
        assert not address.is_loopback


@given(st.text(max_size=40))
def test_any_text_is_judged_without_an_error(text: str):
    for url in (text, f"https://{text}"):
        origin = origin_of(url)
        assert (GUARD.fault(url) is None) <= (origin is not None)
        assert is_loopback(url) <= (origin is not None)
