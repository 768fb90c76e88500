"""What a stdio server cannot take from the machine: shown by real processes that try."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.core.outcome import FailureKind
from actors.core.rules import SettingsError
from actors.core.sandbox_settings import Network, SandboxSettings
from actors.transports.guardian import Order
from actors.transports.launch import Launch
from actors.transports.owned_process import OwnedProcess
from actors.transports.sandbox import objections, obstacle
from actors.transports.stdio import StdioTransport
from tests.support import stdio_servers
from tests.support.recorder import Recorder, open_request
from tests.support.stdio_servers_owner import stdio_to

IS_ROOT = os.geteuid() == 0
NOBODY = "nobody" if IS_ROOT else None
"""As whom a server runs where limits do not bind us."""

MEGABYTE = 1 << 20


def usable_by_others() -> str | None:
    """A Python that another user may execute: that of the tests may be in somebody's home."""
    if not IS_ROOT:
        return sys.executable
    for program in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        try:
            tried = subprocess.run([program, "-S", stdio_servers.__file__, "ready"], user="nobody", check=False)
        except OSError:
            continue
        if tried.returncode == 0:
            return program
    return None


PYTHON_OF_OTHERS = usable_by_others()


def allowed(**settings: Any) -> bool:
    """Whether this machine lets us have a sandbox at all."""
    return sys.platform == "linux" and obstacle(SandboxSettings(**settings)) is None


needs_root = pytest.mark.skipif(
    not IS_ROOT or PYTHON_OF_OTHERS is None, reason="only root can become somebody else, who needs a Python"
)
needs_network = pytest.mark.skipif(not allowed(network=Network.NONE), reason="no network namespaces here")
needs_namespaces = pytest.mark.skipif(
    PYTHON_OF_OTHERS is None or not allowed(processes=50, user=NOBODY), reason="no user namespaces here"
)


@asynccontextmanager
async def running(sandbox: SandboxSettings, **options: Any) -> AsyncIterator[StdioTransport]:
    program = PYTHON_OF_OTHERS if sandbox.user and PYTHON_OF_OTHERS else sys.executable
    transport = stdio_to("greedy", sandbox=sandbox, program=program, **options)
    await transport.connect()
    try:
        yield transport
    finally:
        await transport.close()


def begin(transport: StdioTransport, deed: str, detail: Any = None) -> Recorder:
    return open_request(transport, 1, do=deed, **{"with": detail})


async def attempt(sandbox: SandboxSettings, deed: str, detail: Any = None, **options: Any) -> Any:
    """What a server in this sandbox gets that tries something."""
    async with running(sandbox, **options) as transport:
        return (await begin(transport, deed, detail).result())["params"]["outcome"]


@pytest.mark.parametrize(
    ("sandbox", "deed", "little", "much", "refusal"),
    [
        (SandboxSettings(memory=256 * MEGABYTE), "allocate", MEGABYTE, 512 * MEGABYTE, "MemoryError"),
        (SandboxSettings(files=64), "open", 10, 100, "OSError"),
    ],
)
async def test_a_server_gets_no_more_than_its_limit(
    sandbox: SandboxSettings, deed: str, little: int, much: int, refusal: str
) -> None:
    async with running(sandbox) as transport:
        modest = await begin(transport, deed, little).result()
        greedy = await begin(transport, deed, much).result()

    assert modest["params"]["outcome"] != refusal
    assert greedy["params"]["outcome"] == refusal
    assert await attempt(SandboxSettings(), deed, much) != refusal


async def test_a_file_it_writes_ends_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"

    outcome = await attempt(SandboxSettings(file_size=1000), "write", [str(path), 5000])

    assert outcome == "OSError"
    assert path.stat().st_size <= 1000


async def test_a_server_that_computes_for_ever_is_ended() -> None:
    async with running(SandboxSettings(cpu_seconds=1)) as transport:
        failure = await begin(transport, "compute").failure()

    assert failure == (FailureKind.DISCONNECTED, "was killed by SIGKILL")


@needs_namespaces
async def test_a_server_that_forks_without_end_is_stopped_and_takes_nothing_from_others() -> None:
    sandbox = SandboxSettings(processes=20, user=NOBODY)

    async with running(sandbox) as first, running(sandbox) as second:
        modest = await begin(first, "fork", 10).result()
        greedy = await begin(first, "fork", 100).result()
        beside = await begin(second, "fork", 15).result()

    outcomes = [answer["params"]["outcome"] for answer in (modest, greedy, beside)]
    assert outcomes == ["forked", "BlockingIOError", "forked"]


@needs_network
@pytest.mark.parametrize("user", [None, pytest.param("nobody", marks=needs_root)])
async def test_without_a_network_it_reaches_itself_and_nobody_else(user: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        withheld = await attempt(SandboxSettings(network=Network.NONE, user=user), "dial", port)
        given = await attempt(SandboxSettings(), "dial", port)

    assert (withheld, given) == ("ConnectionRefusedError", "reached")
    assert await attempt(SandboxSettings(network=Network.NONE, user=user), "talk") == "reached"


@needs_root
async def test_as_another_user_it_has_nothing_of_ours() -> None:
    uid, gid, groups = await attempt(SandboxSettings(user="nobody"), "ids")

    assert (uid, groups) == (65534, [])
    assert gid != 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can prevent it")
@pytest.mark.parametrize(("setuid", "withheld"), [(False, "1"), (True, "0")])
async def test_setuid_programs_give_it_no_more_rights_unless_that_is_wanted(*, setuid: bool, withheld: str) -> None:
    assert await attempt(SandboxSettings(setuid=setuid), "status", "NoNewPrivs") == withheld


async def test_of_our_environment_it_sees_what_is_named_and_its_parent_has_nothing_either() -> None:
    ours = {"PATH": os.environ["PATH"], "SECRET": "s3cret-value", "NAMED": "named-value"}
    sandbox = SandboxSettings(inherit_env=("NAMED",))
    transport = stdio_to("environment", sandbox=sandbox, environ=ours)

    await transport.connect()
    facts = (await open_request(transport, 1).result())["params"]
    await transport.close()

    assert facts["env"]["NAMED"] == "named-value"
    assert "SECRET" not in facts["env"]
    assert transport._redactor.text(b"it is named-value") == "it is ***"


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
async def test_there_is_nothing_to_read_in_the_environment_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_GATEWAY", "s3cret-value")

    assert "SECRET_OF_THE_GATEWAY" not in await attempt(SandboxSettings(), "parent")


@pytest.mark.parametrize(
    ("sandbox", "platform", "uid", "refused"),
    [
        (SandboxSettings(inherit_env=("UNSET",)), "linux", 0, ["inherit_env"]),
        (SandboxSettings(user="no-such-user"), "linux", 0, ["user"]),
        (SandboxSettings(user="root"), "linux", 1000, ["user"]),
        (SandboxSettings(user="root"), "linux", 0, []),
        (SandboxSettings(processes=5), "linux", 0, ["processes"]),
        (SandboxSettings(processes=5, user="root"), "linux", 0, ["processes"]),
        (SandboxSettings(processes=5), "linux", 1000, []),
        (SandboxSettings(network=Network.NONE, memory=MEGABYTE * 99, files=20), "darwin", 0, ["memory", "network"]),
    ],
)
def test_what_cannot_be_enforced_is_objected_to(
    sandbox: SandboxSettings, platform: str, uid: int, refused: list[str]
) -> None:
    found = dict(objections(sandbox, {}, platform, uid))

    assert list(found) == refused
    assert all(found.values())


async def test_a_server_whose_sandbox_cannot_be_had_does_not_start() -> None:
    transport = stdio_to("greedy", sandbox=SandboxSettings(inherit_env=("NOT_SET_HERE",)), environ={})

    with pytest.raises(OSError, match=r"its sandbox cannot be had: inherit_env names the variable NOT_SET_HERE"):
        await transport.connect()


async def test_what_the_system_refuses_at_the_last_moment_is_told_by_its_setting() -> None:
    order = Order(os.fsencode(sys.executable), [b"python", b"-V"], {}, b"files=-3")
    ended: list[str] = []
    process = OwnedProcess(
        "x", on_stdout=lambda _: None, on_stderr=lambda _: None, on_ended=ended.append, term_seconds=0.3
    )

    with pytest.raises(OSError, match=r"its sandbox cannot be had, files: Operation not permitted"):
        await process.start(Launch(order, None))
    await process.stop(0.0)


@pytest.mark.parametrize(
    "settings",
    [{"memory": 1}, {"cpu_seconds": 0}, {"files": 2}, {"processes": 0}, {"user": "a b"}, {"inherit_env": ("A=b",)}],
)
def test_settings_with_which_nothing_could_start_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as refused:
        SandboxSettings(**settings)

    assert [path for path, _ in refused.value.reasons] == [(next(iter(settings)),)]
    assert json.dumps(str(refused.value)).isascii()
