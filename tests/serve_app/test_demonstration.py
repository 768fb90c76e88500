"""The demonstration server, spoken to by the SDK's own client: in this process, and as the command that ships."""

import asyncio
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from serve_app.demonstration import GREETINGS, UNITS, convert, server
from tests.support.processes import ROOT, command
from tests.support.sdk_client import REVISIONS, stdio, text_of

UMLAUT_SHA256 = "607474ca475a9724d7360aba71a56d5df77e61350e3f724cfa1f46e857e2d85f"
UNIT_PAIRS = [(one, other) for one in UNITS for other in UNITS if UNITS[one][0] == UNITS[other][0]]


@pytest.mark.parametrize(("mode", "revision"), REVISIONS.items())
async def test_the_command_serves_both_eras_over_its_standard_streams(mode: str, revision: str) -> None:
    async with Client(stdio("serve_app.demonstration"), mode=mode, read_timeout_seconds=15) as client:
        answer = await client.call_tool("echo", {"text": "grüezi"})

        assert client.protocol_version == revision
        assert text_of(answer) == "grüezi"


def test_the_command_ends_with_its_input_and_says_nothing() -> None:
    ended = subprocess.run(
        command("serve_app.demonstration"), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=30
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_garbage_collection_is_as_it_was_where_the_module_is_only_imported() -> None:
    check = "import gc, serve_app.demonstration; print(gc.isenabled())"

    printed = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, timeout=30, check=True)

    assert printed.stdout == b"True\n"


async def test_every_tool_is_described_harmless_and_typed() -> None:
    async with Client(server) as client:
        tools = (await client.list_tools()).tools

    assert {tool.name for tool in tools} == {"echo", "now", "convert", "checksum", "countdown"}
    for tool in tools:
        assert tool.description
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert not tool.annotations.open_world_hint
        assert all("description" in schema for schema in tool.input_schema["properties"].values())


async def test_a_checksum_is_structured_and_that_of_the_bytes() -> None:
    async with Client(server) as client:
        result = await client.call_tool("checksum", {"text": "ü"})

    assert result.structured_content == {"sha256": UMLAUT_SHA256, "size": 2}


@pytest.mark.parametrize(("zone", "offset"), [("UTC", 0.0), ("Asia/Tokyo", 9.0)])
async def test_now_has_the_offset_of_its_zone(zone: str, offset: float) -> None:
    async with Client(server) as client:
        result = await client.call_tool("now", {"zone": zone})

    assert result.structured_content is not None
    moment = datetime.fromisoformat(result.structured_content["iso"])
    shift = moment.utcoffset()
    assert shift is not None
    assert shift.total_seconds() == offset * 3600
    assert abs(moment.timestamp() - result.structured_content["unix"]) < 0.01


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "Europe", "", "x\0y"])
async def test_a_zone_that_is_none_is_an_error_with_a_hint(zone: str) -> None:
    async with Client(server) as client:
        result = await client.call_tool("now", {"zone": zone})

    assert result.is_error
    assert "use a name such as Europe/Paris" in text_of(result)


@given(pair=st.sampled_from(UNIT_PAIRS), value=st.floats(-1e12, 1e12))
def test_converting_there_and_back_always_gives_the_amount(pair: tuple[Any, Any], value: float) -> None:
    one, other = pair

    there = convert(value, one, other)
    back = convert(there.value, other, one)

    assert back.value == pytest.approx(value)
    assert there.unit == other


async def test_known_amounts_convert_as_known() -> None:
    async with Client(server) as client:
        mile = await client.call_tool("convert", {"value": 1, "source": "mi", "target": "m"})
        pound = await client.call_tool("convert", {"value": 2, "source": "lb", "target": "g"})

    assert mile.structured_content == {"value": 1609.344, "unit": "m", "measures": "length"}
    assert pound.structured_content == {"value": 907.18474, "unit": "g", "measures": "mass"}


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"value": 1, "source": "m", "target": "kg"}, "m measures length and kg measures mass"),
        ({"value": 1, "source": "parsec", "target": "m"}, "source"),
    ],
)
async def test_what_cannot_be_converted_is_an_error_that_says_why(arguments: dict[str, Any], hint: str) -> None:
    async with Client(server) as client:
        result = await client.call_tool("convert", arguments)

    assert result.is_error
    assert hint in text_of(result)


async def test_a_countdown_reports_every_step() -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with Client(server) as client:
        result = await client.call_tool("countdown", {"steps": 3, "interval": 0}, progress_callback=on_progress)

    assert text_of(result) == "counted 3 steps"
    assert seen == [(1, 3, "2 to go"), (2, 3, "1 to go"), (3, 3, "0 to go")]


async def test_a_countdown_that_is_cancelled_leaves_the_server_at_work() -> None:
    begun = asyncio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        begun.set()

    async with Client(server, read_timeout_seconds=10) as client:
        call = asyncio.create_task(
            client.call_tool("countdown", {"steps": 100, "interval": 0.05}, progress_callback=on_progress)
        )
        await asyncio.wait_for(begun.wait(), 10)
        call.cancel()

        assert text_of(await client.call_tool("echo", {"text": "still here"})) == "still here"
        assert (await asyncio.gather(call, return_exceptions=True))[0].__class__ is asyncio.CancelledError


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"steps": 101}, {"interval": -1}, {"steps": 100, "interval": 2}])
async def test_a_countdown_too_long_or_too_short_is_refused(arguments: dict[str, Any]) -> None:
    async with Client(server, read_timeout_seconds=5) as client:
        result = await client.call_tool("countdown", arguments)

    assert result.is_error


async def test_resources_and_the_prompt_can_be_read() -> None:
    async with Client(server) as client:
        about = await client.read_resource("demo://about")
        greetings = [await client.read_resource(f"demo://greetings/{code}") for code in GREETINGS]
        prompt = await client.get_prompt("explain_gateway", {"audience": "a child"})

    assert "demo://about" in about.contents[0].model_dump()["text"]
    assert [greeting.contents[0].model_dump()["text"] for greeting in greetings] == list(GREETINGS.values())
    assert "a child" in prompt.messages[0].content.model_dump()["text"]
