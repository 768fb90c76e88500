"""A stdio server of the handshake era that counts its own calls: `python -S counter_server.py`.

Standard library only, so that one starts in 20 ms. Every call of a tool is answered with the count and the process id.
"""

import json
import os
import sys
from typing import Any

INITIALIZED = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "counter", "version": "1"},
}


def answer(message: dict[str, Any], calls: int) -> dict[str, Any]:
    """The rest of the response to a request, by its method."""
    match message["method"]:
        case "initialize":
            return {"result": INITIALIZED}
        case "tools/list":
            return {"result": {"tools": [{"name": "count", "inputSchema": {"type": "object"}}]}}
        case "tools/call":
            return {"result": {"content": [], "structuredContent": {"calls": calls, "pid": os.getpid()}}}
        case _:
            return {"error": {"code": -32601, "message": "unknown method"}}


def serve() -> None:
    """Answer until the input ends."""
    calls = 0
    for line in sys.stdin:
        message = json.loads(line)
        calls += message.get("method") == "tools/call"
        if "id" in message:
            response = {"jsonrpc": "2.0", "id": message["id"], **answer(message, calls)}
            sys.stdout.write(json.dumps(response) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    serve()
