"""Serves an ASGI application on loopback until the process is told to end, and says on which port."""

import socket
from typing import Any

import uvicorn


def serve_http(app: Any, port: int) -> None:
    """Serve on `port`, or on a free one if it is 0, after a line `listening PORT` on standard output.

    The line comes once connections are accepted; what the application still has to do, they wait for.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
        print(f"listening {listener.getsockname()[1]}", flush=True)  # noqa: T201
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
        uvicorn.Server(config).run(sockets=[listener])
