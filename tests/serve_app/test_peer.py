"""Where a request comes from, behind HAProxy and without it."""

from collections.abc import Mapping

import pytest

from actors.core.rules import SettingsError
from actors.core.settings import ServerSettings
from serve_app.http import Scope
from serve_app.peer import HAPROXY_VARIABLE, PEER, SECRET_VARIABLE, Whence

SECRET = "s3cret"
BEHIND = {HAPROXY_VARIABLE: "1", SECRET_VARIABLE: SECRET}
ALONE: Mapping[str, str] = {}


def scope(client: str | None = "127.0.0.1", *headers: tuple[bytes, str]) -> Scope:
    return {
        "type": "http",
        "client": client and (client, 4711),
        "headers": [(name, value.encode("latin-1")) for name, value in headers],
    }


def whence(environ: Mapping[str, str], *proxies: str) -> Whence:
    return Whence(ServerSettings(trusted_proxies=proxies), environ)


def test_without_haproxy_it_is_whoever_connected() -> None:
    assert whence(ALONE)(scope("192.0.2.1")) == "192.0.2.1"
    assert (
        whence(ALONE)(scope("192.0.2.1", (PEER, f"{SECRET} 10.0.0.1"), (b"x-forwarded-for", "10.0.0.1"))) == "192.0.2.1"
    )
    assert whence(ALONE)(scope(None)) == ""


def test_behind_haproxy_it_is_whom_haproxy_saw() -> None:
    assert whence(BEHIND)(scope("127.0.0.1", (PEER, f"{SECRET} 192.0.2.1"))) == "192.0.2.1"
    assert whence(BEHIND)(scope("127.0.0.1", (PEER, f"{SECRET} ::ffff:192.0.2.1"))) == "192.0.2.1"


@pytest.mark.parametrize(
    "said",
    [
        [],
        ["other 192.0.2.1"],
        ["192.0.2.1"],
        [f"{SECRET}"],
        [f"{SECRET} "],
        [" 192.0.2.1"],
        [f"{SECRET} 1.2.3.4"] * 2,
        ["\xff 1.2.3.4"],
    ],
)
def test_who_goes_round_haproxy_comes_from_nowhere(said: list[str]) -> None:
    assert whence(BEHIND)(scope("127.0.0.1", *((PEER, value) for value in said))) == ""


@pytest.mark.parametrize("value", [" 192.0.2.1", "192.0.2.1", f"{SECRET} 192.0.2.1"])
def test_without_a_secret_nobody_is_haproxy(value: str) -> None:
    assert whence({HAPROXY_VARIABLE: "1"})(scope("127.0.0.1", (PEER, value))) == ""


def test_a_proxy_of_ours_before_haproxy_says_who_came() -> None:
    believed = whence(BEHIND, "10.0.0.0/8")
    said = (b"x-forwarded-for", "127.0.0.1, 192.0.2.7")

    assert believed(scope("127.0.0.1", (PEER, f"{SECRET} 10.0.0.1"), said)) == "192.0.2.7"
    assert believed(scope("127.0.0.1", (PEER, f"{SECRET} 192.0.2.1"), said)) == "192.0.2.1"
    assert believed(scope("10.0.0.1", said)) == ""


def test_proxies_are_addresses_and_networks() -> None:
    with pytest.raises(SettingsError, match="trusted_proxies must hold addresses and networks"):
        ServerSettings(trusted_proxies=("proxy.example",))
