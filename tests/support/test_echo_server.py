"""The echo server, spoken to by the SDK's own client and by hand, without a gateway between."""

from collections.abc import Iterator

import httpx
import pytest
from mcp import Client, MCPError

from tests.support.processes import (
    Listening,
    listening,
)
from tests.support.sdk_client import LEGACY_HEADERS, MODERN_HEADERS, REVISIONS, modern, stdio, text_of


@pytest.fixture(scope="module")
def echo() -> Iterator[Listening]:
    with listening("tests.support.echo_server", "--http", "0") as server:
        yield server


@pytest.mark.parametrize(("mode", "revision"), REVISIONS.items())
@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_the_echo_server_speaks_both_eras_over_both_transports(
    echo: Listening, mode: str, revision: str, way: str
) -> None:
    target = echo.url if way == "http" else stdio("tests.support.echo_server")

    async with Client(target, mode=mode, read_timeout_seconds=10) as client:
        listed = await client.list_tools()
        answer = await client.call_tool("echo", {"text": 'quote " and ü'})
        with pytest.raises(MCPError, match="unknown tool"):
            await client.call_tool("other", {})

        assert client.protocol_version == revision
        assert [tool.name for tool in listed.tools] == ["echo"]
        assert text_of(answer) == 'quote " and ü'


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"mcp-method": "tools/list", "mcp-name": "echo"}, -32020),
        ({"mcp-method": "tools/call"}, -32020),
        ({"mcp-method": "tools/call", "mcp-name": "echo", "mcp-protocol-version": "2099-01-01"}, -32022),
    ],
)
async def test_the_echo_server_refuses_headers_that_lie(echo: Listening, headers: dict[str, str], code: int) -> None:
    body = modern("tools/call", name="echo", arguments={"text": "x"})

    async with httpx.AsyncClient(headers=MODERN_HEADERS) as client:
        response = await client.post(echo.url, json=body, headers=headers)

    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize(("session", "status"), [({}, 400), ({"mcp-session-id": "made-up"}, 404)])
async def test_the_echo_server_knows_its_sessions(echo: Listening, session: dict[str, str], status: int) -> None:
    async with httpx.AsyncClient(headers=LEGACY_HEADERS) as client:
        response = await client.post(
            echo.url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=session
        )

    assert response.status_code == status
