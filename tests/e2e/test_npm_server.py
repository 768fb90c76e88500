"""A server from npm, where Node is present."""

import shutil
import subprocess
from pathlib import Path

import pytest
from mcp.client import Client

from tests.support.gateway_process import gateway

PACKAGE = "@modelcontextprotocol/server-everything@2026.8.31"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("npm") is None or shutil.which("node") is None, reason="Node is not here"),
    pytest.mark.timeout(400),
]


async def test_a_server_from_npm_works_through_the_gateway(tmp_path: Path) -> None:
    install = ["npm", "install", "--prefix", str(tmp_path), "--no-audit", "--no-fund", "--silent", PACKAGE]
    subprocess.run(install, check=True, timeout=240)
    script = tmp_path / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"

    with gateway(tmp_path, {"everything": {"command": "node", "args": [str(script), "stdio"]}}) as running:
        async with Client(running.url) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            echoed = await client.call_tool("everything__echo", {"message": "from npm"})

    assert "everything__echo" in tools
    assert "from npm" in echoed.content[0].text
