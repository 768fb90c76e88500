"""The admin API, `/api/v1/admin`: which servers there are and how they are, and changes of them.

Answers are JSON; an error is `{"error": "<sentence>"}`, with `problems` where an entry has some.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from actors.core import jsonrpc
from actors.core.membership import ReplicaKey
from actors.core.server_state import ServerState
from actors.core.settings import BackendSettings
from actors.refs import ActorGone
from serve_app.admin.access import Access
from serve_app.admin.merge import merged
from serve_app.admin.pages import server_page
from serve_app.config import EntryError, read_entry, read_json
from serve_app.http import JSON, HttpRequest, respond

PREFIX: Final = "/api/v1/admin/"

ENTRY_FOLDER: Final = Path("/")
"""Where relative paths of an entry begin that was sent: the folder of its sender is not known."""

_SERVERS: Final = re.compile(r"/servers/?")
_SERVER: Final = re.compile(r"/servers/([^/]+)/?")
_SWITCH: Final = re.compile(r"/servers/([^/]+)/replicas/([0-9]{1,9})/(trip|reset)/?")
_RELOAD: Final = re.compile(r"/reload/?")

_NO_STORE: Final = (b"cache-control", b"no-store")

log = structlog.get_logger()


class Registrar(Protocol):
    """Who knows and changes the servers; `actors.refs.RouterRef` is one."""

    async def servers(self) -> tuple[ServerState, ...]:
        """See `RouterRef.servers`."""

    async def add_server(self, name: str, settings: BackendSettings, source: bytes) -> str:
        """See `RouterRef.add_server`."""

    async def remove_server(self, name: str) -> str:
        """See `RouterRef.remove_server`."""

    async def ask_reload(self) -> int:
        """See `RouterRef.ask_reload`."""


class Switch(Protocol):
    """The breaker of one replica, from outside; `actors.refs.BackendRef` is one."""

    async def trip(self) -> None:
        """See `BackendRef.trip`."""

    async def reset(self) -> None:
        """See `BackendRef.reset`."""


class Answer(msgspec.Struct, frozen=True):
    """What a request comes to."""

    status: int
    page: object = None
    """Anything JSON can hold; nothing for an answer without a body."""
    headers: tuple[tuple[bytes, bytes], ...] = ()


class AdminApi:
    """Serves the requests below `PREFIX`."""

    def __init__(
        self,
        access: Access,
        find_router: Callable[[], Registrar],
        find_backend: Callable[[ReplicaKey], Awaitable[Switch]],
        environ: Mapping[str, str],
    ) -> None:
        """`environ` has the variables that entries may name."""
        self._access = access
        self._find_router = find_router
        self._find_backend = find_backend
        self._environ = environ

    async def serve(self, request: HttpRequest) -> None:
        """Answer one request. Errors of reading its body are the caller's."""
        denial = await self._access.check(request.raw_headers)
        if denial is not None:
            answer = Answer(denial.status, {"error": denial.reason}, denial.headers)
        else:
            try:
                answer = await self._answer(request)
            except EntryError as error:
                problems = [str(problem) for problem in error.problems]
                answer = Answer(422, {"error": "the entry cannot be used", "problems": problems})
            except ActorGone:
                answer = _error(503, "an actor that must be asked is restarting; try again", (b"retry-after", b"2"))
        body = b"" if answer.page is None else jsonrpc.encode(answer.page)
        await respond(request.send, answer.status, body, [JSON, _NO_STORE, *answer.headers])

    async def _answer(self, request: HttpRequest) -> Answer:
        path, verb = request.path[len(PREFIX) - 1 :], request.method
        verbs: Mapping[str, Callable[[], Awaitable[Answer]]]
        if _SERVERS.fullmatch(path):
            verbs = {"GET": self._list, "POST": lambda: self._add(request)}
        elif match := _SERVER.fullmatch(path):
            name = match[1]
            verbs = {
                "GET": lambda: self._show(name),
                "PATCH": lambda: self._change(name, request),
                "DELETE": lambda: self._remove(name),
            }
        elif match := _SWITCH.fullmatch(path):
            key, trips = ReplicaKey(match[1], int(match[2])), match[3] == "trip"
            verbs = {"POST": lambda: self._switch(key, trips=trips)}
        elif _RELOAD.fullmatch(path):
            verbs = {"POST": self._reload}
        else:
            return _error(404, "there is nothing here")
        if verb not in verbs:
            return _error(405, f"{verb} is not for this", (b"allow", ", ".join(verbs).encode()))
        return await verbs[verb]()

    async def _list(self) -> Answer:
        return Answer(200, {"servers": [server_page(server) for server in await self._find_router().servers()]})

    async def _show(self, name: str) -> Answer:
        server = await self._find(name)
        return _unknown(name) if server is None else Answer(200, server_page(server))

    async def _add(self, request: HttpRequest) -> Answer:
        entry = read_json(await request.body())
        name = entry.pop("name", None)
        if not isinstance(name, str):
            return _error(422, "a `name` is needed beside what an entry of mcpServers has")
        settings = read_entry(name, entry, ENTRY_FOLDER, self._environ)
        taken = [each.name for each in await self._find_router().servers() if each.name.lower() == name.lower()]
        if taken:
            return _error(409, f"there is a server {taken[0]!r} already")
        return await self._put(settings, entry, 201)

    async def _change(self, name: str, request: HttpRequest) -> Answer:
        patch = read_json(await request.body())
        server = await self._find(name)
        if server is None:
            return _unknown(name)
        if not server.source:
            return _error(409, f"the server {name!r} is in the configuration file: change it there")
        entry = merged(msgspec.json.decode(server.source), patch)
        return await self._put(read_entry(name, entry, ENTRY_FOLDER, self._environ), entry, 200)

    async def _put(self, settings: BackendSettings, entry: Mapping[str, object], status: int) -> Answer:
        reason = await self._find_router().add_server(settings.name, settings, msgspec.json.encode(entry))
        if reason:
            return _error(409, reason)
        log.info("server_added" if status == 201 else "server_changed", server=settings.name)
        place = (b"location", f"{PREFIX}servers/{settings.name}".encode())
        shown = await self._show(settings.name)
        return Answer(status, shown.page, (place,) if status == 201 else ())

    async def _remove(self, name: str) -> Answer:
        server = await self._find(name)
        if server is None:
            return _unknown(name)
        reason = await self._find_router().remove_server(name)
        if reason:
            return _error(409, reason)
        log.info("server_removed", server=name)
        return Answer(204)

    async def _switch(self, key: ReplicaKey, *, trips: bool) -> Answer:
        server = await self._find(key.backend)
        if server is None or all(status.key != key for status in server.replicas):
            return _error(404, f"there is no replica {str(key)!r}")
        backend = await self._find_backend(key)
        await (backend.trip() if trips else backend.reset())
        log.info("breaker_tripped_by_hand" if trips else "breaker_reset_by_hand", replica=str(key))
        return Answer(204)

    async def _reload(self) -> Answer:
        await self._find_router().ask_reload()
        return Answer(202, {"status": "asked; the command that runs the gateway says what came of it"})

    async def _find(self, name: str) -> ServerState | None:
        return next((server for server in await self._find_router().servers() if server.name == name), None)


def _unknown(name: str) -> Answer:
    return _error(404, f"there is no server {name!r}")


def _error(status: int, reason: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status, {"error": reason}, headers)
