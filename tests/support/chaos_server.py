"""A server that misbehaves: `python -m tests.support.chaos_server [flags]`, over its standard streams.

It needs the standard library only and speaks the handshake era. Flags spoil the whole process; the tools, which are
the keys of `TOOLS`, spoil one call.
"""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final, NoReturn

REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
HUGE: Final = 100 * 1024 * 1024
GARBAGE: Final = (
    b"Starting server...",
    b"",
    b"{not json",
    b"[1, 2, 3]",
    b'"just a string"',
    b"\xff\xfe\x00 not UTF-8",
    b'{"jsonrpc":"2.0"}',
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}',
)
"""Lines that answer nothing; they repeat when more are asked for."""

GRANDCHILD: Final = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
"""A process that outlives whoever started it, and does not end when asked."""

Json = dict[str, Any]


class Chaos:
    """One client on the standard streams, one thread, answers in the order of their time."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags
        self._due: list[tuple[float, int, bytes]] = []
        self._sent = 0
        self._asked: dict[str, Any] = {}

    def run(self) -> None:
        """Serve until the input ends, or for ever if stubborn."""
        buffer = b""
        while True:
            self._write_due()
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            if not select.select([0], [], [], wait)[0]:
                continue
            data = os.read(0, 1 << 16)
            if not data:
                if self.flags.stubborn:
                    sleep_for_ever()
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                if line.strip():
                    self._receive(json.loads(line))

    def answer(self, request_id: object, member: Json, delay: float = 0.0) -> None:
        """Send a response, `delay` seconds from now, spoiled as the flags say."""
        line = json.dumps({"jsonrpc": "2.0", "id": request_id, **member}).encode()
        for _ in range(2 if self.flags.duplicate else 1):
            self._sent += 1
            heappush(self._due, (time.monotonic() + delay, self._sent, line))

    def text(self, request_id: object, text: str, delay: float = 0.0) -> None:
        """Answer a call with one text."""
        self.answer(request_id, {"result": {"content": [{"type": "text", "text": text}]}}, delay)

    def notify(self, method: str, params: Json) -> None:
        """Send a notification nobody asked for."""
        self.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n")

    def ask(self, request_id: object, method: str) -> None:
        """Send a request of the server's own; the call is answered with whatever comes back."""
        number = f"ask-{len(self._asked)}"
        self._asked[number] = request_id
        self.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method}).encode() + b"\n")

    def garbage(self, lines: int) -> None:
        """Write lines that are no messages."""
        for number in range(lines):
            self.write(GARBAGE[number % len(GARBAGE)] + b"\n")

    def write(self, data: bytes) -> None:
        """Write all of it to standard output."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(1, rest) :]

    def _write_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            line = heappop(self._due)[2]
            self.garbage(self.flags.garbage)
            if self.flags.chatty:
                self.notify("notifications/message", {"level": "info", "data": "unsolicited"})
                self.notify("notifications/progress", {"progressToken": "nobody's", "progress": 1})
            self.write(line + b"\n")

    def _receive(self, message: Json) -> None:
        request_id, method = message.get("id"), message.get("method")
        if method is None:
            self.text(self._asked.pop(str(request_id)), json.dumps(message))
        elif request_id is None or self.flags.mute:
            return
        elif method == "initialize":
            self.answer(request_id, {"result": self._initialized(message["params"])})
        elif method == "ping":
            self.answer(request_id, {"result": {}})
        elif method == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
            self.answer(request_id, {"result": {"tools": tools}})
        elif method == "tools/call" and message["params"].get("name") in TOOLS:
            TOOLS[message["params"]["name"]](self, request_id, **message["params"].get("arguments") or {})
        elif not self.flags.silent:
            code = -32602 if method == "tools/call" else -32601
            self.answer(request_id, {"error": {"code": code, "message": f"unknown: {method}"}})

    def _initialized(self, params: Json) -> Json:
        asked = params.get("protocolVersion")
        return {
            "protocolVersion": asked if asked in REVISIONS else REVISIONS[-1],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "chaos", "version": "1"},
        }


def sleep_for_ever() -> NoReturn:
    """Neither read nor write nor end."""
    while True:
        time.sleep(3600)


def spawn(*, own_session: bool) -> int:
    """Start a process that stays behind, in this process group or in a session of its own; returns its pid."""
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", GRANDCHILD],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=own_session,
    )
    return child.pid


def _echo(chaos: Chaos, request_id: object, text: str = "", delay_ms: int = 0) -> None:
    """Answer with the text, after a delay: calls with different ones overtake each other."""
    chaos.text(request_id, text, delay_ms / 1000)


def _garbage(chaos: Chaos, request_id: object, lines: int = len(GARBAGE)) -> None:
    """Write garbage, then answer."""
    chaos.garbage(lines)
    chaos.text(request_id, f"after {lines} lines of garbage")


def _wrong_id(chaos: Chaos, request_id: object, right_too: bool = False) -> None:
    """Answer an id that nobody used, and then the right one if told to."""
    chaos.text("nobody's" if isinstance(request_id, str) else int(str(request_id)) + 1_000_000, "wrong")
    if right_too:
        chaos.text(request_id, "right")


def _twice(chaos: Chaos, request_id: object) -> None:
    """Answer twice."""
    chaos.text(request_id, "first")
    chaos.text(request_id, "second")


def _huge(chaos: Chaos, request_id: object, size: int = HUGE, id_last: bool = False) -> None:
    """Answer with one line of about `size` bytes, its id at the beginning or at the end."""
    number = json.dumps(request_id).encode()
    first, last = (b"", b',"id":%b' % number) if id_last else (b'"id":%b,' % number, b"")
    chaos.write(b'{"jsonrpc":"2.0",%b"result":{"content":[{"type":"text","text":"' % first)
    block = b"x" * (1 << 20)
    for start in range(0, size, len(block)):
        chaos.write(block[: size - start])
    chaos.write(b'"}]}%b}\n' % last)


def _die(chaos: Chaos, request_id: object, code: int = 1, message: str = "", half: bool = False) -> None:
    """End in the middle of the call, after half an answer if told to."""
    if half:
        chaos.write(b'{"jsonrpc":"2.0","id":%b,"result":{"conte' % json.dumps(request_id).encode())
    leave(code, message)


def _hang(chaos: Chaos, request_id: object) -> None:
    """Never answer this call; others go on."""


def _deaf(chaos: Chaos, request_id: object) -> None:
    """Never read again."""
    sleep_for_ever()


def _notify(chaos: Chaos, request_id: object, count: int = 1, method: str = "notifications/message") -> None:
    """Send notifications that belong to nothing, then answer."""
    for number in range(count):
        chaos.notify(method, {"level": "info", "data": number})
    chaos.text(request_id, f"{count} notifications")


def _ask(chaos: Chaos, request_id: object, method: str = "ping") -> None:
    """Ask the client something in the middle of the call."""
    chaos.ask(request_id, method)


def _spawn(chaos: Chaos, request_id: object, own_session: bool = False) -> None:
    """Start a process that stays behind."""
    chaos.text(request_id, str(spawn(own_session=own_session)))


def _pid(chaos: Chaos, request_id: object) -> None:
    """Answer with the process id."""
    chaos.text(request_id, str(os.getpid()))


TOOLS: Final[dict[str, Callable[..., None]]] = {
    "echo": _echo,
    "garbage": _garbage,
    "wrong_id": _wrong_id,
    "twice": _twice,
    "huge": _huge,
    "die": _die,
    "hang": _hang,
    "deaf": _deaf,
    "notify": _notify,
    "ask": _ask,
    "spawn": _spawn,
    "pid": _pid,
}


def leave(code: int, message: str) -> NoReturn:
    """End at once, with a last word on standard error."""
    if message:
        os.write(2, message.encode() + b"\n")
    os._exit(code)


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exit", type=int, metavar="CODE", help="end at once with this code")
    parser.add_argument("--message", default="", help="write this to standard error first")
    parser.add_argument("--start-delay", type=float, default=0.0, metavar="SECONDS", help="read nothing until then")
    parser.add_argument("--stubborn", action="store_true", help="ignore the end of input, SIGTERM and SIGINT")
    parser.add_argument("--grandchild", choices=("same-group", "own-session"), help="leave a process behind")
    parser.add_argument("--garbage", type=int, default=0, metavar="LINES", help="write garbage before every answer")
    parser.add_argument("--chatty", action="store_true", help="send notifications before every answer")
    parser.add_argument("--duplicate", action="store_true", help="send every answer twice")
    parser.add_argument(
        "--silent", action="store_true", help="leave unknown requests, `server/discover` too, unanswered"
    )
    parser.add_argument("--mute", action="store_true", help="answer nothing at all")
    flags = parser.parse_args()
    if flags.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if flags.grandchild is not None:
        spawn(own_session=flags.grandchild == "own-session")
    if flags.exit is not None:
        leave(flags.exit, flags.message)
    if flags.message:
        os.write(2, flags.message.encode() + b"\n")
    time.sleep(flags.start_delay)
    Chaos(flags).run()


if __name__ == "__main__":
    main()
