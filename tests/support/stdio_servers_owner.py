"""Owns one stdio server until it is killed: `python -m tests.support.stdio_servers_owner WAY [forked]`.

Prints the process ids of the server and its children, as the server tells them, on one line; with `forked` also that
of a child of its own, last, which inherited every descriptor and stays.
"""

import asyncio
import os
import sys
import time
from typing import Any

from actors.core.endpoints import StdioEndpoint
from actors.core.sandbox_settings import SandboxSettings
from actors.transports.stdio import StdioTransport
from tests.support import stdio_servers
from tests.support.recorder import open_request


def stdio_to(
    way: str,
    *args: str,
    env: dict[str, str] | None = None,
    cwd: str | None = None,
    sandbox: SandboxSettings | None = None,
    program: str = sys.executable,
    **options: Any,
) -> StdioTransport:
    """A transport to one of the small servers, with short limits."""
    command = ("-S", stdio_servers.__file__, way, *args)
    endpoint = StdioEndpoint(
        command=program, args=command, env=env or {}, cwd=cwd, sandbox=sandbox or SandboxSettings()
    )
    limits = {"max_message_bytes": 1 << 20, "eof_seconds": 0.3, "term_seconds": 0.3}
    return StdioTransport(endpoint, name=way, **(limits | options))


def fork() -> int:
    """Fork a child that does nothing for a while."""
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
    return pid


async def main() -> None:
    """Start it, say who it is, wait to be killed."""
    transport = stdio_to(sys.argv[1])
    await transport.connect()
    answer = await open_request(transport, 1).result()
    pids = answer["params"]["pids"]
    if sys.argv[2:] == ["forked"]:
        pids.append(fork())
    sys.stdout.write(" ".join(map(str, pids)) + "\n")
    sys.stdout.flush()
    await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main())
