import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.audience import ENDPOINT, Audience, canonical

PUBLIC = "https://gw.example"


@pytest.mark.parametrize(
    ("uri", "same"),
    [
        ("HTTPS://Mcp.Example.COM/mcp", "https://mcp.example.com/mcp"),
        ("https://mcp.example.com:443/mcp", "https://mcp.example.com/mcp"),
        ("http://mcp.example.com:80", "http://mcp.example.com"),
        ("https://mcp.example.com:80", "https://mcp.example.com:80"),
        ("https://mcp.example.com/", "https://mcp.example.com"),
        ("https://mcp.example.com/mcp/", "https://mcp.example.com/mcp"),
        ("https://mcp.example.com/MCP", "https://mcp.example.com/MCP"),
        ("https://mcp.example.com/mcp?a=B", "https://mcp.example.com/mcp?a=B"),
        ("https://[::1]:8443/mcp", "https://[::1]:8443/mcp"),
        ("https://mcp.example.com/#x", "https://mcp.example.com/#x"),
        ("https://me@mcp.example.com/", "https://me@mcp.example.com/"),
        ("https://mcp.example.com:99999/", "https://mcp.example.com:99999/"),
        ("urn:example:Gateway/", "urn:example:Gateway/"),
        ("gateway", "gateway"),
        ("", ""),
    ],
)
def test_a_resource_has_one_canonical_name(uri: str, same: str) -> None:
    assert canonical(uri) == same


@given(st.one_of(st.text(), st.text("htps:/.[]@#?%1Aa", max_size=30).map("http://".__add__)))
def test_a_canonical_name_is_its_own(uri: str) -> None:
    once = canonical(uri)

    assert canonical(once) == once


@pytest.mark.parametrize(
    "named",
    [
        PUBLIC,
        f"{PUBLIC}/",
        "HTTPS://GW.EXAMPLE:443",
        f"{PUBLIC}/mcp",
        f"{PUBLIC}/mcp/",
        f"{PUBLIC}/sse",
        f"{PUBLIC}/servers/git/mcp",
    ],
)
def test_a_token_for_an_endpoint_is_for_the_gateway_if_its_public_url_is_the_audience(named: str) -> None:
    assert Audience(f"{PUBLIC}/", PUBLIC).admits(["https://other.example", named])
    assert Audience(PUBLIC, None).admits([named]) == (canonical(named) == PUBLIC)


@pytest.mark.parametrize(
    "named",
    [
        "",
        "https://gw.example.evil.example",
        "https://gw.example.evil.example/mcp",
        "https://gw.examplemcp",
        "http://gw.example",
        "https://gw.example:8443",
        "https://gw.example/other",
        "https://gw.example/mcp/more",
        "https://gw.example/mcp?x=1",
        "https://gw.example/mcp#x",
        "https://gw.example//mcp",
        "https://gw.example/servers/a/b/mcp",
        "https://gw.example/servers//mcp",
        "https://gw.example@evil.example/mcp",
        "https://evil.example/https://gw.example/mcp",
    ],
)
def test_a_token_for_something_else_is_not_for_the_gateway(named: str) -> None:
    assert not Audience(PUBLIC, PUBLIC).admits([named])


def test_an_audience_that_is_no_url_is_compared_as_it_is() -> None:
    audience = Audience("Gateway", PUBLIC)

    assert audience.admits(["Gateway"])
    assert not audience.admits(["gateway", f"{PUBLIC}/mcp", PUBLIC, "Gateway/mcp"])


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/ws", "/servers/git/mcp", "/servers/a.b-c_d~1/ws"])
def test_the_endpoints_are_resources(path: str) -> None:
    assert ENDPOINT.fullmatch(path)


@pytest.mark.parametrize("path", ["", "/", "/mcp/", "/messages", "/metrics", "/servers/x y/mcp", '/servers/"/mcp'])
def test_other_paths_are_not(path: str) -> None:
    assert not ENDPOINT.fullmatch(path)
