"""Many echo servers in one process: `python -m tests.support.many_servers PORT`; every path is one, with five tools."""

import sys
from typing import Final

from tests.support.echo_server import TOOL, EchoApp, Headers, Receive, Response, Scope
from tests.support.http_listener import serve_http

TOOLS: Final = ("echo", "second", "third", "fourth", "fifth")
"""Only the first can be called."""

LISTED: Final = b",".join(TOOL.replace(b'"name":"echo"', b'"name":"%b"' % name.encode()) for name in TOOLS)


class ManyServers(EchoApp):
    """The ASGI application."""

    async def _respond(self, scope: Scope, headers: Headers, receive: Receive) -> Response:
        status, body, extra = await super()._respond({**scope, "path": "/mcp"}, headers, receive)
        return status, body.replace(TOOL, LISTED), extra


if __name__ == "__main__":
    serve_http(ManyServers(), int(sys.argv[1]))
