"""Somebody with a server behind a running gateway: a terminal to add it, a browser to agree in, a client to call it.

What is typed goes to the functions of the commands: processes of their own would take longer than all that they do.
"""

import asyncio
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from mcp import Client, MCPError
from mcp.client.context import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult
from mcp_types.jsonrpc import URL_ELICITATION_REQUIRED

from serve_app.cli import connections, servers
from serve_app.cli.desk import DeskError, DeskWish, find_desk, server_path
from serve_app.login.redirect import RedirectError
from tests.support.gateway_process import GatewayProcess
from tests.support.oidc_provider import Person

SECONDS: Final = 20.0
"""For each thing that is waited for."""

SETTLE_SECONDS: Final = 5.0
"""A server that was agreed to is up within it, or wants something else."""

LOOK_SECONDS: Final = 0.1

CONNECTED: Final = "You are connected"

NOWHERE: Final = "http://127.0.0.1:9/callback"
"""A way back where nobody listens."""


def brought_back(person: Person, url: str) -> dict[str, str]:
    """What the browser would bring to `NOWHERE`, at the end of the way that begins at `url`."""
    person.browse(url, until=NOWHERE)
    return dict(parse_qsl(urlsplit(person.seen[-1]).query))


class ServerOwner:
    """Of one server, at a gateway that does not tell callers apart: its operator is its one user, too."""

    def __init__(self, running: GatewayProcess, name: str, mode: str) -> None:
        """`mode` is that of the client, as `mcp.Client` has it."""
        self.name = name
        self.shown: list[str] = []
        """The last page of each way that the client sent the browser."""
        self._desk = find_desk(DeskWish(port=running.port), {})
        self._url = running.server_url(name)
        self._mode = mode
        self._person = Person("owner")

    def add(self, entry: dict[str, Any]) -> None:
        """`only1mcp add`: ends when the server is up, or is not."""
        wish = servers.AddWish(self.name, entry=json.dumps(entry))
        servers.add(self._desk, wish, io.StringIO(), sleep=lambda _: time.sleep(LOOK_SECONDS))

    def remove(self) -> None:
        """`only1mcp remove`."""
        servers.remove(self._desk, self.name, io.StringIO())

    def connect(self) -> str:
        """`only1mcp connect --for-lists`; why it has not worked, or nothing, when it is seen what came of it."""
        terminal = io.StringIO()
        with ThreadPoolExecutor(1) as browser:
            try:
                connections.connect(
                    self._desk,
                    self.name,
                    lambda url: browser.submit(self._person.browse, url),
                    terminal,
                    terminal,
                    lists=True,
                    seconds=SECONDS,
                )
            except (DeskError, RedirectError) as error:
                return str(error.args[0])
        self._settle()
        return ""

    def connect_carelessly(self) -> str:
        """The same, but whatever the browser brings is handed on; why the gateway does not want it, or nothing."""
        path = f"/connections/{self.name}/lists"
        try:
            begun = self._desk.ask("POST", path, {"redirect_uri": NOWHERE})
            self._desk.ask("PUT", path, brought_back(self._person, begun["url"]))
        except DeskError as error:
            return error.reason
        return ""

    def disconnect(self) -> None:
        """`only1mcp disconnect`."""
        connections.disconnect(self._desk, self.name, io.StringIO(), lists=False)

    @property
    def lacks_consent(self) -> bool:
        """Whether the server is down until its operator has agreed."""
        return _lacks_consent(self._replica())

    def call(self) -> bool:
        """Call a tool of it with a client, whose user goes wherever they are asked to; whether that was of use."""
        return asyncio.run(self._call())

    def _settle(self) -> None:
        """Wait until it is up or, though it was tried with the consent, is not.

        When the consent came another attempt may have been under way, which does not count.
        """
        first = seen = self._replica()
        until = time.monotonic() + SETTLE_SECONDS
        while _lacks_consent(seen) and seen["restarts"] < first["restarts"] + 2 and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            seen = self._replica()

    def _replica(self) -> dict[str, Any]:
        found: dict[str, Any]
        (found,) = self._desk.ask("GET", server_path(self.name))["replicas"]
        return found

    async def _call(self) -> bool:
        async with (
            asyncio.timeout(2 * SECONDS),
            Client(
                self._url, mode=self._mode, read_timeout_seconds=SECONDS, elicitation_callback=self._elicited
            ) as client,
        ):
            tool = await _first_tool(client)
            try:
                result = await client.call_tool(tool, {})
            except MCPError as error:
                if error.code != URL_ELICITATION_REQUIRED:
                    raise
                for each in error.data["elicitations"]:
                    await self._go(each["url"])
                result = await client.call_tool(tool, {})
        return not result.is_error

    async def _elicited(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert isinstance(params, ElicitRequestURLParams)
        await self._go(params.url)
        return ElicitResult(action="accept")

    async def _go(self, url: str) -> None:
        self.shown.append((await asyncio.to_thread(self._person.browse, url)).text)


def _lacks_consent(replica: dict[str, Any]) -> bool:
    return replica["state"] != "up" and "--for-lists" in replica["detail"]


async def _first_tool(client: Client) -> str:
    for _ in range(int(SECONDS / LOOK_SECONDS)):
        if tools := (await client.list_tools()).tools:
            return tools[0].name
        await asyncio.sleep(LOOK_SECONDS)
    raise AssertionError("it lists no tools")
