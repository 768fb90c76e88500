"""`only1mcp stdio` as a process, in front of the SDK's own server, and spoken to by the SDK's own client."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPDeprecationWarning

from actors.core.rules import SettingsError
from serve_app.cli.stdio import Plan, StdioWish, prepare
from tests.support.bridge_client import INITIALIZE, Gateway
from tests.support.http_servers import serving
from tests.support.processes import ROOT, Listening, eventually, listening
from tests.support.sdk_client import REVISIONS, modern, text_of

PAIRS = [("both", "auto"), ("both", "legacy"), ("legacy", "auto"), ("legacy", "legacy"), ("modern", "auto")]
"""Servers, and modes of the client, which can speak to each other."""


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Listening]]:
    with ExitStack() as stack:
        yield {
            era: stack.enter_context(listening("tests.support.fixture_server", "--http", "0", "--era", era))
            for era in ("both", "legacy", "modern")
        }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "serve_app.cli.main", "stdio", *arguments]


def bridge_to(server: Listening) -> StdioServerParameters:
    executable, *arguments = command("--url", server.url)
    return StdioServerParameters(command=executable, args=arguments, cwd=str(ROOT))


def run(*arguments: str, given: bytes = b"", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments), input=given, capture_output=True, timeout=30, cwd=ROOT, env=env, check=False
    )


def line(message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


@pytest.mark.parametrize(("era", "mode"), PAIRS)
async def test_the_sdks_client_does_everything_through_the_bridge(
    servers: dict[str, Listening], era: str, mode: str
) -> None:
    heard: list[float] = []
    logged: list[Any] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async def on_log(params: Any) -> None:
        logged.append(params.data)

    target = bridge_to(servers[era])
    async with Client(target, mode=mode, read_timeout_seconds=20, logging_callback=on_log) as client:
        revision = client.protocol_version
        tools = [tool.name for tool in (await client.list_tools()).tools]
        echoed = await client.call_tool("echo", {"text": "Grüße\n\u2028"})
        regional = await client.call_tool("regional", {"region": "Zürich ", "size": 3})
        failed = await client.call_tool("fail", {})
        await client.call_tool("progress", {"steps": 3}, progress_callback=on_progress)
        read = await client.read_resource("fixture://text")
        prompt = await client.get_prompt("greet", {"name": "Ada"})
        large = await client.call_tool("big", {"size": 3_000_000})
        if mode == "legacy":
            await client.call_tool("log", {"text": "hello", "count": 2})
            await eventually(lambda: len(logged) == 2)

    assert revision == REVISIONS["legacy" if era == "legacy" else mode]
    assert "echo" in tools
    assert text_of(echoed) == "Grüße\n\u2028"
    assert text_of(regional) == "Zürich : 3"
    assert failed.is_error
    assert heard == [1, 2, 3]
    assert read.contents[0].model_dump()["text"].startswith("# Grüße")
    assert "Ada" in str(prompt.messages[0].content)
    assert len(text_of(large)) == 3_000_000


@pytest.mark.parametrize(("era", "mode"), [("legacy", "legacy"), ("modern", "auto")])
async def test_a_call_cancelled_by_the_sdks_client_is_cancelled_at_the_server(era: str, mode: str) -> None:
    with listening("tests.support.fixture_server", "--http", "0", "--era", era) as server:
        async with Client(bridge_to(server), mode=mode, read_timeout_seconds=20) as client:

            async def ran() -> Any:
                return (await client.call_tool("ran", {})).structured_content

            async def started() -> bool:
                return bool((await ran())["started"])

            async def cancelled() -> bool:
                return bool(await ran() == {"started": 1, "finished": 0, "cancelled": 1})

            call = asyncio.create_task(client.call_tool("slow", {"seconds": 60}))
            await eventually(started, 20)
            call.cancel()
            await eventually(cancelled, 20)


async def test_a_legacy_client_hears_of_changes_on_the_stream(servers: dict[str, Listening]) -> None:
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        heard.append(type(message).__name__)

    async with Client(
        bridge_to(servers["legacy"]), mode="legacy", message_handler=on_message, read_timeout_seconds=20
    ) as client:
        with pytest.warns(MCPDeprecationWarning):
            await client.subscribe_resource("fixture://counter")
        await client.call_tool("change_tools", {})
        await client.call_tool("touch", {})
        await eventually(lambda: any("ToolListChanged" in name for name in heard), 20)
        await eventually(lambda: any("ResourceUpdated" in name for name in heard), 20)


async def test_a_modern_client_listens_through_the_bridge(servers: dict[str, Listening]) -> None:
    heard: list[str] = []

    async with Client(bridge_to(servers["modern"]), read_timeout_seconds=20) as client:
        async with client.listen(tools_list_changed=True, resource_subscriptions=["fixture://counter"]) as events:

            async def collect() -> None:
                async for event in events:
                    heard.append(type(event).__name__)  # noqa: PERF401 - each as it comes

            collecting = asyncio.create_task(collect())
            await client.call_tool("change_tools", {})
            await client.call_tool("touch", {})
            await eventually(lambda: len(heard) >= 2, 20)
            collecting.cancel()
        assert text_of(await client.call_tool("echo", {"text": "after"})) == "after"


async def test_a_server_that_forgets_its_sessions_is_not_noticed(servers: dict[str, Listening]) -> None:
    async with Client(bridge_to(servers["legacy"]), mode="legacy", read_timeout_seconds=20) as client:
        await client.call_tool("echo", {"text": "before"})
        async with httpx.AsyncClient() as http:
            forgotten = (await http.post(f"{servers['legacy'].origin}/forget")).json()["forgotten"]

        answers = await asyncio.gather(*(client.call_tool("echo", {"text": str(number)}) for number in range(5)))

    assert forgotten >= 1
    assert [text_of(answer) for answer in answers] == ["0", "1", "2", "3", "4"]


def test_output_holds_messages_and_nothing_else_and_the_end_of_input_is_a_good_end(
    servers: dict[str, Listening],
) -> None:
    ended = run("--url", servers["both"].url, given=b"nonsense\n\n" + line(modern("tools/list")))

    messages = [json.loads(one) for one in ended.stdout.splitlines()]
    assert ended.returncode == 0
    assert {message["id"] for message in messages} == {None, 1}
    assert all(message["jsonrpc"] == "2.0" for message in messages)


def test_it_loads_neither_ray_nor_the_configuration_nor_the_sdk() -> None:
    names = ("ray", "mcp", "pydantic", "fastapi", "serve_app.config", "serve_app.gateway")
    program = (
        "import sys, serve_app.cli.main as m; code = m.main(['stdio']);"
        f"sys.exit(code or ','.join(name for name in {names} if name in sys.modules) or 0)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_session_and_the_process(number: signal.Signals) -> None:
    gateway = Gateway()
    async with serving(gateway) as url:
        process = await asyncio.create_subprocess_exec(
            *command("--url", url), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line(INITIALIZE))
        await asyncio.wait_for(process.stdout.readline(), 20)
        process.send_signal(number)
        code = await asyncio.wait_for(process.wait(), 20)

    assert code == 0
    assert [headers["mcp-session-id"] for headers in gateway.verbs("DELETE")] == ["s1"]


async def test_a_client_that_is_gone_ends_the_process_although_its_input_stays_open() -> None:
    async with serving(Gateway()) as url:
        process = await asyncio.create_subprocess_exec(
            *command("--url", url), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        assert process.stdin is not None
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        process.stdin.write(line(modern("tools/list")))

        assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_the_token_comes_from_the_environment_and_is_shown_nowhere(tmp_path: Path) -> None:
    gateway = Gateway()
    async with serving(gateway) as url:
        ended = await asyncio.to_thread(
            run,
            *("--url", url, "--header", "X-Team: a"),
            given=line(modern("tools/list")),
            env={"ONLY1MCP_TOKEN": " o1m_secret\n"},
        )

    ((headers, _),) = gateway.messages("tools/list")
    assert (headers["authorization"], headers["x-team"]) == ("Bearer o1m_secret", "a")
    assert b"secret" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (StdioWish(url="ftp://x/mcp"), "--url must begin with http:// or https://"),
        (StdioWish(url="http://me:secret@x/mcp"), "--url must not hold a user name or a password: put a token into"),
        (StdioWish(url="http://x/other", server="time"), "--url must end in /mcp"),
        (StdioWish(server="a/../b"), "--server a name has"),
        (StdioWish(headers=["Authorization: secret"]), "--header is not for credentials: put a token into"),
        (StdioWish(headers=["x-api-key: secret"]), "--header is not for credentials"),
        (StdioWish(headers=["secret"]), "--header must have the form"),
        (StdioWish(headers=["Mcp-Session-Id: secret"]), "--header names a header which the bridge writes itself"),
        (StdioWish(headers=["X-A: b\nsecret"]), "holds a line break"),
        (StdioWish(config=Path("secret/none.yaml")), "--config is not a file"),
    ],
)
def test_a_wrong_command_line_is_refused_without_repeating_it(wish: StdioWish, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        prepare(wish, {})

    assert sentence in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_wrong_command_line_ends_with_code_2_and_an_empty_output() -> None:
    ended = run("--url", "nowhere")

    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"only1mcp: --url must begin with")


@pytest.mark.parametrize("token", ["two\nlines", "ümlaut"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match="ONLY1MCP_TOKEN holds characters that no token has"):
        prepare(StdioWish(), {"ONLY1MCP_TOKEN": token})


@pytest.mark.parametrize(
    ("url", "server", "endpoint"),
    [
        (None, None, "http://127.0.0.1:8080/mcp"),
        (None, "time", "http://127.0.0.1:8080/servers/time/mcp"),
        ("https://mcp.example.org/team/mcp/", "git", "https://mcp.example.org/team/servers/git/mcp"),
        ("https://mcp.example.org/mcp?team=a#b", "git", "https://mcp.example.org/servers/git/mcp?team=a"),
        ("https://mcp.example.org/elsewhere", None, "https://mcp.example.org/elsewhere"),
    ],
)
def test_a_server_is_at_the_same_gateway(url: str | None, server: str | None, endpoint: str) -> None:
    plan = prepare(StdioWish(url=url, server=server), {})

    assert isinstance(plan, Plan)
    assert plan.endpoint == endpoint
    assert plan.headers == {}
