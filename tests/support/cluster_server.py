"""A server that writes every call down before it answers: `python cluster_server.py JOURNAL`, on its standard streams.

It has one tool, `note`, speaks the handshake era, and needs the standard library only. With `steps` it reports
progress so many times, every `interval_ms`, before it answers. What was written shows which process ran which call, and
that none ran twice.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Note:
    """One call that ran: in which process, and its text."""

    pid: int
    text: str


def open_journal(path: str) -> int:
    """A journal to write to: what is appended by one process is never mixed with that of others."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def write_note(journal: int, text: str) -> None:
    """Write down that a call runs now."""
    os.write(journal, f"{os.getpid()} {text}\n".encode())


def read_journal(journal: Path) -> list[Note]:
    """Every call so far, of all servers that write to this journal."""
    if not journal.exists():
        return []
    return [Note(int(pid), text) for pid, text in (line.split(" ", 1) for line in journal.read_text().splitlines())]


class CountingServer:
    """Answers requests in the order of their delays."""

    def __init__(self, journal: int) -> None:
        self._journal = journal

    async def run(self) -> None:
        """Serve until the input ends."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async for line in reader:
            message = json.loads(line)
            if "id" in message:
                member, delay = self._answer(message["method"], message.get("params", {}))
                response = json.dumps({"jsonrpc": "2.0", "id": message["id"], **member}).encode() + b"\n"
                loop.call_later(delay, os.write, 1, response)

    def _answer(self, method: str, params: Json) -> tuple[Json, float]:
        if method == "initialize":
            info = {"name": "counting", "version": "1"}
            result: Json = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        elif method == "tools/list":
            result = {"tools": [{"name": "note", "inputSchema": {"type": "object"}}]}
        elif method == "ping":
            result = {}
        elif method == "tools/call" and params["name"] == "note":
            arguments = params["arguments"]
            write_note(self._journal, arguments["text"])
            delay = arguments.get("delay_ms", 0) / 1000
            if "steps" in arguments:
                delay = self._progress(arguments["steps"], arguments["interval_ms"] / 1000, params["_meta"])
            return {"result": {"content": [{"type": "text", "text": arguments["text"]}]}}, delay
        else:
            return {"error": {"code": -32601, "message": f"unknown: {method}"}}, 0.0
        return {"result": result}, 0.0

    def _progress(self, steps: int, interval: float, meta: Json) -> float:
        """Report progress in a while; gives when that is done."""
        for done in range(1, steps + 1):
            params = {"progressToken": meta["progressToken"], "progress": done, "total": steps}
            message = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
            line = json.dumps(message).encode() + b"\n"
            asyncio.get_running_loop().call_later(done * interval, os.write, 1, line)
        return (steps + 1) * interval


if __name__ == "__main__":
    asyncio.run(CountingServer(open_journal(sys.argv[1])).run())
