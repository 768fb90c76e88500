"""Whose address counts behind proxies, whatever strangers write."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.peer_address import MAX_HOPS, address_behind, read_address
from actors.core.policy.networks import Networks

OURS = Networks(("10.0.0.0/8", "fd00::/8"))
PROXY = "10.0.0.1"

STRANGERS = st.ip_addresses().filter(lambda address: OURS.holds(str(address)) is False).map(str)
PROXIES = st.ip_addresses(network="10.0.0.0/8").map(str) | st.ip_addresses(network="fd00::/8").map(str)
WRITINGS = st.text(max_size=40) | st.sampled_from([PROXY, "1.2.3.4", "for=1.2.3.4", 'for="[::1]"', "unknown", '"', ","])


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1\t", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("192.0.2.1:", None),
        ("192.0.2.1:http", None),
        ("[192.0.2.1", None),
        ("2001:db8::1]", None),
        ("fe80::1%eth0", None),
        ("192.0.2.1, 192.0.2.2", None),
        ("0x7f.1", None),
        ("evil.example", None),
    ],
)
def test_addresses_are_read_as_proxies_write_them(written: str, address: str | None) -> None:
    assert read_address(written) == address


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        ([], PROXY),
        (["192.0.2.1"], "192.0.2.1"),
        (["127.0.0.1, 192.0.2.1"], "192.0.2.1"),
        (["127.0.0.1", "192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1", "10.0.0.2"], "192.0.2.1"),
        (["192.0.2.9, 192.0.2.1, 10.0.0.2,10.0.0.3"], "192.0.2.1"),
        (["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        (["[2001:db8::1]:80, [fd00::2]:80"], "2001:db8::1"),
        (["192.0.2.1, unknown"], ""),
        (["192.0.2.1,"], ""),
        ([""], ""),
        (["192.0.2.1" + ", 10.0.0.2" * (MAX_HOPS - 1)], "192.0.2.1"),
        (["192.0.2.1" + ", 10.0.0.2" * MAX_HOPS], ""),
    ],
)
def test_the_rightmost_address_that_is_no_proxy_of_ours_counts(forwarded_for: list[str], address: str) -> None:
    assert address_behind(PROXY, OURS, forwarded_for, []) == address


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["for=192.0.2.1"], "192.0.2.1"),
        (['for="192.0.2.1:47"; Proto=https;by=10.0.0.1'], "192.0.2.1"),
        (['For="[2001:db8::1]:4711"'], "2001:db8::1"),
        (["for=127.0.0.1, for=192.0.2.1;by=x, for=10.0.0.2"], "192.0.2.1"),
        (['for=192.0.2.1;by="a,b;c"'], "192.0.2.1"),
        (['for="192.0.2.1, for=10.0.0.9'], ""),
        (["for=192.0.2.1;for=192.0.2.2"], ""),
        (["proto=https"], ""),
        (["for=_hidden"], ""),
        (["for=192.0.2.1 for=10.0.0.2"], ""),
        ([";"], ""),
    ],
)
def test_the_standard_header_is_read_the_same_way(forwarded: list[str], address: str) -> None:
    assert address_behind(PROXY, OURS, [], forwarded) == address


def test_two_headers_count_only_if_they_agree() -> None:
    assert address_behind(PROXY, OURS, ["192.0.2.1"], ["for=192.0.2.1"]) == "192.0.2.1"
    assert address_behind(PROXY, OURS, ["192.0.2.1"], ["for=192.0.2.2"]) == ""


@given(peer=STRANGERS, written=st.lists(WRITINGS), forwarded=st.lists(WRITINGS))
def test_a_stranger_never_chooses_its_own_address(peer: str, written: list[str], forwarded: list[str]) -> None:
    assert address_behind(peer, OURS, written, forwarded) == read_address(peer)


@given(peer=PROXIES, written=st.lists(WRITINGS), client=STRANGERS, between=st.lists(PROXIES, max_size=3))
def test_what_a_client_writes_never_counts_behind_our_proxies(
    peer: str, written: list[str], client: str, between: list[str]
) -> None:
    chain = [*written, ", ".join([client, *between])]

    assert address_behind(peer, OURS, chain, []) == read_address(client)


@given(peer=WRITINGS, one=st.lists(WRITINGS), other=st.lists(WRITINGS))
def test_garbage_gives_an_address_or_nothing(peer: str, one: list[str], other: list[str]) -> None:
    address = address_behind(peer, OURS, one, other)

    assert address == "" or str(ipaddress.ip_address(address)) == address


@given(peer=STRANGERS | PROXIES, written=st.lists(WRITINGS))
def test_without_proxies_of_ours_only_the_peer_counts(peer: str, written: list[str]) -> None:
    assert address_behind(peer, Networks(()), written, written) == read_address(peer)
