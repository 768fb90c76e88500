"""`only1mcp stdio` as clients start it: in front of a gateway that runs, and with one of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

from tests.support.gateway_process import READY_SECONDS, SERVER_MARK, GatewayProcess, chaos, marked, module
from tests.support.processes import ROOT, descendants, eventually, free_port, wait_gone
from tests.support.sdk_client import REVISIONS, modern, text_of

pytestmark = pytest.mark.e2e

ERAS = ("auto", "legacy")


def stdio(*arguments: str) -> StdioServerParameters:
    command = ["-m", "serve_app.cli.main", "stdio", *arguments]
    return StdioServerParameters(command=sys.executable, args=command, cwd=str(ROOT))


def to(running: GatewayProcess, *arguments: str) -> StdioServerParameters:
    return stdio("--url", running.url, *arguments)


@pytest.mark.parametrize("mode", ERAS)
async def test_everything_behind_the_gateway_is_one_list(running: GatewayProcess, mode: str) -> None:
    async with Client(to(running), mode=mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        time = await client.call_tool("time__get_current_time", {"timezone": "Europe/Berlin"})

        assert client.protocol_version == REVISIONS[mode]

    assert {"demo__echo", "git__git_log", "legacy__echo", "modern__echo"} <= names
    assert "Europe/Berlin" in text_of(time)


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("backend", ["legacy", "modern", "stdio"])
async def test_every_method_works_at_one_server(running: GatewayProcess, backend: str, mode: str) -> None:
    heard: list[float] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with Client(to(running, "--server", backend), mode=mode) as client:
        tools = (await client.list_tools()).tools
        echoed = await client.call_tool("echo", {"text": "häl\nlo"})
        regional = await client.call_tool("regional", {"region": "Zürich"})
        await client.call_tool("progress", {"steps": 3}, progress_callback=listen)
        resources = (await client.list_resources()).resources
        prompts = (await client.list_prompts()).prompts
        read = await client.read_resource(resources[0].uri)
        with pytest.raises(MCPError) as raised:
            await client.call_tool("raise", {"code": -31000, "message": "raised there"})

    assert text_of(echoed) == "häl\nlo"
    assert text_of(regional) == "Zürich: "
    assert heard == [1, 2, 3]
    assert len(tools) > 20
    assert read.contents
    assert prompts
    assert (raised.value.error.code, raised.value.error.message) == (-31000, "raised there")


@pytest.mark.parametrize(("backend", "mode"), [("modern", "auto"), ("stdio", "legacy")])
async def test_a_cancelled_call_is_cancelled_at_the_server(running: GatewayProcess, backend: str, mode: str) -> None:
    async with Client(to(running, "--server", backend), mode=mode) as client:

        async def count(what: str) -> int:
            counts = (await client.call_tool("ran", {})).structured_content
            return int(counts[what])

        started, cancelled = await count("started"), await count("cancelled")
        call = asyncio.ensure_future(client.call_tool("slow", {"seconds": 60}))

        async def grew(what: str, before: int) -> bool:
            return await count(what) == before + 1

        await eventually(lambda: grew("started", started), 20)
        call.cancel()

        await eventually(lambda: grew("cancelled", cancelled), 20)
        await asyncio.gather(call, return_exceptions=True)


@pytest.mark.parametrize("backend", ["legacy", "stdio"])
async def test_a_legacy_client_hears_what_changes_by_itself(running: GatewayProcess, backend: str) -> None:
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        heard.append(type(message).__name__)

    target = to(running, "--server", backend)
    async with Client(target, mode="legacy", message_handler=on_message, read_timeout_seconds=30) as client:
        with pytest.warns(MCPDeprecationWarning):
            await client.subscribe_resource("fixture://counter")
        await client.call_tool("change_tools", {})
        await client.call_tool("touch", {})

        await eventually(lambda: any("ToolListChanged" in name for name in heard), 20)
        await eventually(lambda: any("ResourceUpdated" in name for name in heard), 20)


@pytest.mark.parametrize("backend", ["modern", "stdio"])
async def test_a_modern_client_listens(running: GatewayProcess, backend: str) -> None:
    heard: list[str] = []

    async with (
        Client(to(running, "--server", backend), read_timeout_seconds=30) as client,
        client.listen(tools_list_changed=True, resource_subscriptions=["fixture://counter"]) as events,
    ):

        async def collect() -> None:
            async for event in events:
                heard.append(type(event).__name__)  # noqa: PERF401 - each as it comes

        collecting = asyncio.create_task(collect())
        await client.call_tool("change_tools", {})
        await client.call_tool("touch", {})
        await eventually(lambda: len(set(heard)) == 2, 20)
        collecting.cancel()


async def test_errors_of_the_gateway_arrive_as_they_are(running: GatewayProcess) -> None:
    async with Client(to(running), mode="legacy") as client:
        with pytest.raises(MCPError, match="Unknown tool: nobody__nothing"):
            await client.call_tool("nobody__nothing", {})


async def test_a_server_that_is_not_there_is_said_to_be_so(running: GatewayProcess) -> None:
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "serve_app.cli.main", "stdio", "--url", running.url, "--server", "nobody"],
        input=json.dumps(modern("tools/list")).encode() + b"\n",
        capture_output=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )

    assert "error" in json.loads(ended.stdout)
    assert ended.returncode == 0


async def test_a_gateway_that_runs_is_used_although_there_is_a_configuration(
    running: GatewayProcess, tmp_path: Path
) -> None:
    config = tmp_path / "only1mcp.json"
    config.write_text(json.dumps({"mcpServers": {"other": module("serve_app.demonstration")}}))

    async with Client(to(running, "--config", str(config))) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}

    assert "demo__echo" in names


class Own:
    """The command with a configuration and no gateway that runs; spoken to by hand."""

    def __init__(self, folder: Path, servers: dict[str, Any]) -> None:
        self.mark = f"own-{folder.name}"
        self.state_home = folder / "state-home"
        config = folder / "only1mcp.json"
        marked_servers = {name: {**server, "env": {SERVER_MARK: self.mark}} for name, server in servers.items()}
        config.write_text(json.dumps({"mcpServers": marked_servers}))
        self.log = folder / "stderr.log"
        nobody = f"http://127.0.0.1:{free_port()}/mcp"
        arguments = ["--url", nobody, "--config", str(config)]
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serve_app.cli.main", "stdio", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, "XDG_STATE_HOME": str(self.state_home)},
            )

    def say(self, message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    async def hear(self) -> Any:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), READY_SECONDS)
        assert line, self.log.read_text()[-4000:]
        return json.loads(line)

    def all_processes(self) -> list[int]:
        return [*descendants(self.process.pid), *marked(self.mark)]

    async def over(self, seconds: float = 40.0) -> int:
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), seconds)


async def test_a_gateway_of_its_own_serves_and_ends_with_the_input(tmp_path: Path) -> None:
    own = Own(tmp_path, {"demo": module("serve_app.demonstration")})
    own.say(modern("tools/call", name="demo__echo", arguments={"text": "own"}))
    answer = await own.hear()
    started = own.all_processes()
    assert own.process.stdin is not None

    own.process.stdin.close()
    code = await own.over()

    assert answer["result"]["content"][0]["text"] == "own"
    assert code == 0
    assert len(marked(own.mark)) == 0
    assert await wait_gone(started, 10) == []
    assert own.process.stdout is not None
    assert own.process.stdout.read() == b"", "what the gateway prints is on standard error"
    assert "stopped" in own.log.read_text()
    assert [path for path in own.state_home.rglob("*") if path.is_file()] == [], "no later one would find it"


async def test_a_gateway_of_its_own_ends_although_the_command_is_killed(tmp_path: Path) -> None:
    own = Own(tmp_path, {"demo": module("serve_app.demonstration"), "stubborn": chaos("--stubborn")})
    own.say(modern("tools/list"))
    await own.hear()
    started = own.all_processes()

    os.kill(own.process.pid, signal.SIGKILL)

    assert await wait_gone(started, 60) == []
    assert marked(own.mark) == []


async def test_a_configuration_that_cannot_be_served_is_an_answer_and_an_end(tmp_path: Path) -> None:
    own = Own(tmp_path, {"demo": {"command": "no-such-command-anywhere"}})
    own.say(modern("tools/list"))

    answer = await own.hear()

    assert "the reason is on the standard error" in answer["error"]["message"]
    assert await own.over() == 1
    assert "no-such-command-anywhere" in own.log.read_text()
