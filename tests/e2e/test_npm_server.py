"""A published server for Node, added to a gateway that runs."""

import pytest
from mcp.client import Client

from tests.support.gateway_process import GatewayProcess
from tests.support.npm import NODE, installed
from tests.support.processes import ROOT, eventually
from tests.support.sdk_client import text_of

SCRIPT = "@modelcontextprotocol/server-everything/dist/index.js"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


async def test_a_server_from_npm_is_added_and_works_through_the_gateway(running: GatewayProcess) -> None:
    script = installed(ROOT / "tests/support/cross_era_npm") / SCRIPT

    added = running.only1mcp("add", "everything", "--", str(NODE), str(script), "stdio")
    try:
        async with Client(running.url) as client:

            async def listed() -> bool:
                return "everything__echo" in {tool.name for tool in (await client.list_tools()).tools}

            await eventually(listed, 10)
            echoed = await client.call_tool("everything__echo", {"message": "from npm"})
    finally:
        removed = running.only1mcp("remove", "everything")

    assert (added.returncode, removed.returncode) == (0, 0), (added, removed)
    assert "from npm" in text_of(echoed)
