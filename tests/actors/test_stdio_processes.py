"""Processes: whatever happens to a server, its guardian or its owner, nothing is left."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import uvloop

from actors.core.endpoints import StdioEndpoint
from actors.core.outcome import FailureKind
from actors.transports.stdio import StdioTransport
from tests.support.processes import ROOT, eventually, is_there, wait_gone
from tests.support.recorder import open_request
from tests.support.stdio_servers_owner import stdio_to

SECONDS = 8.0
"""For what takes a second at most on an idle machine."""


def children() -> set[int]:
    """Of this process, those included which only wait to be collected."""
    return {child.pid for child in psutil.Process().children()}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


async def started(way: str, **options: object) -> tuple[StdioTransport, list[int]]:
    """A transport to a server that tells its own process id and those of its children."""
    transport = stdio_to(way, **options)
    await transport.connect()
    answer = await open_request(transport, 1).result()
    return transport, answer["params"]["pids"]


async def test_close_leaves_nothing_of_a_server_that_ignores_everything():
    transport, pids = await started("stubborn")

    async with asyncio.timeout(SECONDS):
        await transport.close()

    assert [pid for pid in pids if is_there(pid)] == []


async def test_a_server_that_ends_on_term_is_not_killed_but_its_strays_are():
    transport, pids = await started("polite", term_seconds=60)

    async with asyncio.timeout(SECONDS):
        await transport.close()

    assert transport._process._exit_code == 7
    assert [pid for pid in pids if is_there(pid)] == []


async def test_a_server_that_ends_with_its_input_is_not_signalled():
    transport = stdio_to("echo", eof_seconds=60)
    await transport.connect()

    async with asyncio.timeout(SECONDS):
        await transport.close()

    assert transport._process._exit_code == 0


async def test_a_close_that_is_cancelled_goes_on():
    transport, pids = await started("stubborn")

    closing = asyncio.create_task(transport.close())
    await asyncio.sleep(0)
    closing.cancel()

    assert await wait_gone(pids, SECONDS) == []
    await transport.close()


@contextmanager
def owner_of(way: str, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A process that owns a server, and the process ids it printed."""
    program = [sys.executable, "-m", "tests.support.stdio_servers_owner", way, *options]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        yield owner, [int(pid) for pid in owner.stdout.readline().split()]


@pytest.mark.parametrize("way", ["stubborn", "polite"])
async def test_nothing_outlives_an_owner_that_is_killed(way: str):
    with owner_of(way) as (owner, pids):
        below = {child.pid for child in psutil.Process(owner.pid).children(recursive=True)}

        owner.kill()

        assert await wait_gone(below, SECONDS) == []
    assert below > set(pids)
    assert len(pids) >= 2


async def test_nothing_outlives_a_killed_owner_whose_descriptors_live_on_in_a_fork():
    with owner_of("stubborn", "forked") as (owner, [*pids, fork]):
        below = {child.pid for child in psutil.Process(owner.pid).children(recursive=True)} - {fork}

        owner.kill()
        left = await wait_gone(below, SECONDS)
        os.kill(fork, signal.SIGKILL)

    assert left == []
    assert below > set(pids)


def outer(transport: StdioTransport) -> psutil.Process:
    popen = transport._process._popen
    assert popen is not None
    return psutil.Process(popen.pid)


def inner(transport: StdioTransport) -> psutil.Process:
    return outer(transport).children()[0]


@pytest.mark.parametrize("which", [outer, inner])
async def test_nothing_outlives_a_guardian_that_is_killed(which: Callable[[StdioTransport], psutil.Process]):
    transport, pids = await started("stubborn")
    reasons: list[str] = []
    transport.closed = reasons.append

    which(transport).kill()

    assert await wait_gone(pids, SECONDS) == []
    await eventually(lambda: reasons, SECONDS)
    await transport.close()


async def test_a_server_dies_with_both_its_guardians_and_so_does_its_group():
    transport, [server, child, stray] = await started("stubborn")
    reasons: list[str] = []
    transport.closed = reasons.append

    both = [inner(transport), outer(transport)]
    for guardian in both:
        guardian.suspend()
    for guardian in both:
        guardian.kill()

    assert await wait_gone([server, child], SECONDS) == []
    await eventually(lambda: reasons, SECONDS)
    assert reasons == ["was killed together with its guardian"]
    os.kill(stray, signal.SIGKILL)
    await transport.close()


async def test_signals_to_the_guardians_do_not_reach_the_server():
    transport, _ = await started("stubborn")

    for guardian in (outer(transport), inner(transport)):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            guardian.send_signal(number)

    assert (await open_request(transport, 2).result())["method"] == "echo"
    await transport.close()


async def test_a_killed_server_is_reported_and_takes_its_strays_with_it():
    transport, pids = await started("polite")
    reasons: list[str] = []
    transport.closed = reasons.append
    assert transport.pid == pids[0]

    os.kill(pids[0], signal.SIGKILL)

    assert await wait_gone(pids, SECONDS) == []
    await eventually(lambda: reasons)
    assert reasons == ["was killed by SIGKILL"]
    await transport.close()


async def test_a_server_that_closes_its_output_is_lost_and_ended():
    transport = stdio_to("mute")
    reasons: list[str] = []
    transport.closed = reasons.append
    await transport.connect()
    recorder = open_request(transport, 1)

    failure = await recorder.failure()

    assert failure == (FailureKind.DISCONNECTED, "closed its standard output")
    assert reasons == ["closed its standard output"]
    assert transport.pid is not None
    assert await wait_gone([transport.pid], SECONDS) == []
    await transport.close()


@pytest.mark.parametrize("ticks", range(8))
async def test_a_connect_that_is_cancelled_leaves_nothing(ticks: int):
    transport = stdio_to("deaf")
    before = children()

    connecting = asyncio.create_task(transport.connect())
    for _ in range(ticks):
        await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.wait([connecting])

    await eventually(lambda: children() <= before, SECONDS)
    await transport.close()


async def test_a_close_during_connect_ends_both():
    transport = stdio_to("deaf")

    connecting = asyncio.create_task(transport.connect())
    await asyncio.sleep(0)
    await transport.close()

    with pytest.raises(OSError, match="closed while it started"):
        await connecting


async def test_descriptors_are_given_back():
    def open_descriptors() -> set[Path]:
        return set(Path("/proc/self/fd").iterdir())

    async def cycle() -> None:
        transport = stdio_to("echo")
        await transport.connect()
        await open_request(transport, 1).result()
        await transport.close()

    await cycle()
    before = open_descriptors()

    for _ in range(3):
        await cycle()

    await eventually(lambda: open_descriptors() <= before)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_it_works_with_any_loop_outside_the_main_thread(new_loop: Callable[[], asyncio.AbstractEventLoop]):
    seen: list[object] = []

    async def story() -> None:
        transport, pids = await started("stubborn")
        await transport.close()
        seen.append([pid for pid in pids if is_there(pid)])
        transport = stdio_to("die", "3")
        transport.closed = seen.append
        await transport.connect()
        seen.append(await open_request(transport, 1).failure())
        await transport.close()
        transport = stdio_to("echo")
        connecting = asyncio.create_task(transport.connect())
        await asyncio.sleep(0)
        connecting.cancel()
        await transport.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=new_loop, debug=True) as runner:
            runner.run(story())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)

    assert seen == [
        [],
        "exited with code 3: out of cheese",
        (FailureKind.DISCONNECTED, "exited with code 3"),
    ]


def script(path: Path, text: str, mode: int) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("command", "cwd", "reason"),
    [
        ("no-such-command", None, r"'no-such-command' is not in its PATH \(/nowhere\)"),
        ("{tmp}/missing", None, "missing' is not a file"),
        ("{tmp}", None, "is not a file"),
        ("{tmp}/plain", None, "plain' is not executable"),
        ("{tmp}/nonsense", None, "cannot be run: Exec format error"),
        ("{tmp}/lost", None, "cannot be run: No such file or directory"),
        ("./lost", "{tmp}/missing", "missing' is not there or not a directory"),
    ],
)
async def test_a_command_that_cannot_run_is_refused_with_a_sentence(
    tmp_path: Path, command: str, cwd: str, reason: str
):
    script(tmp_path / "plain", "#!/bin/sh\n", 0o644)
    script(tmp_path / "nonsense", "nonsense\n", 0o755)
    script(tmp_path / "lost", "#!/no/such/interpreter\n", 0o755)
    endpoint = StdioEndpoint(
        command=command.format(tmp=tmp_path), cwd=cwd and cwd.format(tmp=tmp_path), env={"PATH": "/nowhere"}
    )
    transport = StdioTransport(endpoint, name="a", max_message_bytes=1000)

    with pytest.raises(OSError, match=reason):
        await transport.connect()

    await transport.close()


async def test_a_command_with_a_slash_is_looked_up_in_its_own_directory(tmp_path: Path):
    script(tmp_path / "server", '#!/bin/sh\nread line; echo \'{"id":1,"result":{}}\'\n', 0o755)
    transport = StdioTransport(
        StdioEndpoint(command="./server", cwd=str(tmp_path)), name="a", max_message_bytes=1000, eof_seconds=0.3
    )
    await transport.connect()

    assert await open_request(transport, 1).result() == {}
    await transport.close()
