"""Small stdio servers that behave in one way each: `python -S stdio_servers.py WAY [ARGUMENT]`.

Standard library only, so that one starts in 20 ms. A request is answered with its own method and parameters, unless
the way says otherwise; a notification `play` makes the server write the lines in its parameters.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

MEGABYTE: Final = b"x" * 1_000_000
SLEEP: Final = "import time; time.sleep(600)"


def write(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def answer(message: dict[str, Any]) -> None:
    result = {"method": message["method"], "params": message["params"]}
    write(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())


def serve(on_request: Callable[[dict[str, Any]], None]) -> None:
    """Read messages until the input ends."""
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message["method"] == "play":
            for text in message["params"]["lines"]:
                write(text.encode())
        elif message["method"] == "exit":
            os._exit(message["params"]["code"])
        elif "id" in message:
            on_request(message)


def play() -> None:
    """Answer nothing, but write what one is told to."""
    serve(lambda message: None)


def echo() -> None:
    serve(answer)


def environment() -> None:
    """Answer with what a process inherits."""
    ignored = [s.name for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) is signal.SIG_IGN]
    files = sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1  # one of them lists them
    facts = {"env": dict(os.environ), "cwd": str(Path.cwd()), "argv": sys.argv[1:], "ignored": ignored, "files": files}
    serve(lambda message: answer(message | {"params": facts}))


def garbage() -> None:
    """Write what is no message at all, then the answer."""

    def answer_among_garbage(message: dict[str, Any]) -> None:
        write(b"Listening on port 3000 ...")
        write(b'"text"\n\n[1, 2]\n{}\n\xff\xfe\n{"jsonrpc": "2.0"')
        write(b'{"jsonrpc": "2.0", "result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
        write(b"[" * 100_000 + b"]" * 100_000)
        answer(message)

    serve(answer_among_garbage)


def batch() -> None:
    """Answer two requests in one array."""
    waiting: list[int] = []

    def answer_two(message: dict[str, Any]) -> None:
        waiting.append(message["id"])
        if len(waiting) == 2:
            write(json.dumps([{"jsonrpc": "2.0", "id": number, "result": {}} for number in waiting]).encode())

    serve(answer_two)


def endless() -> None:
    """Answer with a line of ARGUMENT megabytes, written in pieces."""

    def answer_at_length(message: dict[str, Any]) -> None:
        sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%d,"result":{"text":"' % message["id"])
        for _ in range(int(sys.argv[2])):
            sys.stdout.buffer.write(MEGABYTE)
        write(b'"}}')

    serve(lambda message: answer_at_length(message) if message["method"] == "long" else answer(message))


def last_word() -> None:
    """Answer without a newline at the end, and leave."""

    def leave(message: dict[str, Any]) -> None:
        os.write(1, b'{"jsonrpc":"2.0","id":%d,"result":{}}' % message["id"])
        os._exit(0)

    serve(leave)


def half_word() -> None:
    """Begin an answer, and leave."""

    def leave(message: dict[str, Any]) -> None:
        os.write(1, b'{"jsonrpc":"2.0","id":%d,"result":{"conte' % message["id"])
        os._exit(0)

    serve(leave)


def die() -> None:
    """Print a last word and end with code ARGUMENT as soon as a request comes."""

    def leave(message: dict[str, Any]) -> None:
        os.write(2, b"first\nout of cheese")
        os._exit(int(sys.argv[2]))

    serve(leave)


def unable() -> None:
    """End at once."""
    sys.exit("no such model")


def deaf() -> None:
    """Never read the input."""
    time.sleep(600)


def mute() -> None:
    """Close the output when a request comes, and stay."""
    serve(lambda message: os.close(1))
    time.sleep(600)


def noisy() -> None:
    """Write ARGUMENT lines to the standard error for every request, with the secret it was given."""

    def shout(message: dict[str, Any]) -> None:
        for number in range(int(sys.argv[2])):
            os.write(2, f"line {number}: bad token {os.environ['TOKEN']}\n".encode())
        answer(message)

    serve(shout)


def stubborn() -> None:
    """Ignore the end of the input and TERM, and have a child and a child in a session of its own that do so too."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    children = [
        subprocess.Popen([sys.executable, "-S", "-c", SLEEP]),
        subprocess.Popen([sys.executable, "-S", "-c", SLEEP], start_new_session=True),
    ]
    pids = [os.getpid(), *(child.pid for child in children)]
    serve(lambda message: answer(message | {"params": {"pids": pids}}))
    while True:
        time.sleep(600)


def polite() -> None:
    """End with code 7 on TERM, but not when the input ends; leave a child behind that is in another session."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    child = subprocess.Popen([sys.executable, "-S", "-c", SLEEP], start_new_session=True)
    serve(lambda message: answer(message | {"params": {"pids": [os.getpid(), child.pid]}}))
    while True:
        time.sleep(600)


def ready() -> None:
    """End well: this file can be read and run."""


def greedy() -> None:
    """Do what a request says, and answer with what the system said to that."""

    def attempt(message: dict[str, Any]) -> None:
        params = message["params"]
        try:
            outcome = GREEDY[params["do"]](params.get("with"))
        except (OSError, MemoryError) as error:
            outcome = type(error).__name__
        answer(message | {"params": {"outcome": outcome}})

    serve(attempt)


def _fork_many(count: int) -> str:
    pids = []
    try:
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                time.sleep(600)
            pids.append(pid)
        return "forked"
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _dial(port: int) -> str:
    import socket

    with socket.create_connection(("127.0.0.1", port), timeout=5.0):
        return "reached"


def _talk_to_itself(_: object) -> str:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return _dial(server.getsockname()[1])


def _open_many(count: int) -> str:
    descriptors: list[int] = []
    try:
        descriptors.extend(os.dup(2) for _ in range(count))
        return "opened"
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _compute(_: object) -> str:
    while True:
        pass


GREEDY: Final[dict[str, Callable[[Any], object]]] = {
    "allocate": lambda size: len(bytearray(size)),
    "fork": _fork_many,
    "dial": _dial,
    "talk": _talk_to_itself,
    "open": _open_many,
    "write": lambda place: Path(place[0]).write_bytes(bytes(place[1])),
    "compute": _compute,
    "ids": lambda _: [os.getuid(), os.getgid(), os.getgroups()],
    "status": lambda key: next(
        line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:")
    ),
    "parent": lambda _: Path(f"/proc/{os.getppid()}/environ").read_text(),
}


if __name__ == "__main__":
    globals()[sys.argv[1]]()
