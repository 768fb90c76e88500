"""The admin API, `/api/v1/admin`: which servers there are, how they are, and changes of them.

Answers are JSON; an error is `{"error": "<sentence>"}`, with `problems` where an entry has some.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import structlog

from actors.core import jsonrpc
from actors.core.caller import Caller
from actors.core.membership import ReplicaKey
from actors.core.principal import ANONYMOUS
from actors.core.server_state import ServerState
from actors.core.settings import BackendSettings
from actors.refs.gone import ActorGone
from serve_app.admin.access import Access
from serve_app.admin.answer import Answer
from serve_app.admin.answer import error as _error
from serve_app.admin.credentials import Credentials
from serve_app.admin.merge import merged
from serve_app.admin.pages import NewEntry, ReloadPage, ServerPage, ServersPage, server_page
from serve_app.admin.routes import Asked, Names, Route, Routes, described
from serve_app.config import EntryError, read_entry, read_json
from serve_app.denial import Denial
from serve_app.http import JSON, HttpRequest, respond
from serve_app.recording import UNAVAILABLE, Recorder

PREFIX: Final = "/api/v1/admin/"

ENTRY_FOLDER: Final = Path("/")
"""Where relative paths of an entry begin that was sent: the folder of its sender is not known."""

_NO_STORE: Final = (b"cache-control", b"no-store")

log = structlog.get_logger()


class Registrar(Protocol):
    """Who knows and changes the servers; `actors.refs.router.RouterRef` is one."""

    async def servers(self) -> tuple[ServerState, ...]:
        """See `RouterRef.servers`."""

    async def add_server(self, name: str, settings: BackendSettings, source: bytes) -> str:
        """See `RouterRef.add_server`."""

    async def remove_server(self, name: str) -> str:
        """See `RouterRef.remove_server`."""

    async def accept_definitions(self, name: str) -> str:
        """See `RouterRef.accept_definitions`."""

    async def ask_reload(self) -> int:
        """See `RouterRef.ask_reload`."""


class Switch(Protocol):
    """The breaker of one replica, from outside; `actors.refs.backend.BackendRef` is one."""

    async def trip(self) -> None:
        """See `BackendRef.trip`."""

    async def reset(self) -> None:
        """See `BackendRef.reset`."""


class AdminApi:
    """Serves the requests below `PREFIX`."""

    def __init__(
        self,
        access: Access,
        find_router: Callable[[], Registrar],
        find_backend: Callable[[ReplicaKey], Awaitable[Switch]],
        environ: Mapping[str, str],
        recorder: Recorder | None = None,
        credentials: Credentials | None = None,
        more: Iterable[Route] = (),
    ) -> None:
        """`environ` has the variables that entries may name; without `credentials` the gateway issues none.

        `more` are routes of others.
        """
        self._routes = Routes((*self._own_routes(), *(() if credentials is None else credentials.routes()), *more))
        self._recorder = recorder or Recorder()
        self._access = access
        self._find_router = find_router
        self._find_backend = find_backend
        self._environ = environ

    async def serve(self, request: HttpRequest) -> None:
        """Answer one request. Errors of reading its body are the caller's."""
        found = await self._access.check(request.raw_headers, request.scope)
        if isinstance(found, Denial):
            answer = Answer(found.status, {"error": found.reason}, found.headers)
        elif self._recorder.refusing:
            answer = _error(503, UNAVAILABLE.message, (b"retry-after", b"2"))
        else:
            answer = await self._permitted(Caller(found, request.ip), request)
        principal = ANONYMOUS if isinstance(found, Denial) else found
        self._recorder.administered(Caller(principal, request.ip), request.method, request.path, answer.status)
        body = b"" if answer.page is None else jsonrpc.encode(answer.page)
        await respond(request.send, answer.status, body, [JSON, _NO_STORE, *answer.headers])

    async def _permitted(self, caller: Caller, request: HttpRequest) -> Answer:
        """What a request comes to, of one who is recognised: only what there is can be forbidden."""
        found = self._routes.find(request.method, request.path[len(PREFIX) - 1 :])
        if isinstance(found, Answer):
            return found
        route, names = found
        denial = self._access.permit(caller, route.action)
        if denial is not None:
            return Answer(denial.status, {"error": denial.reason}, denial.headers)
        try:
            return await route.answer(Asked(request, names, caller))
        except EntryError as error:
            problems = [str(problem) for problem in error.problems]
            return Answer(422, {"error": "the entry cannot be used", "problems": problems})
        except ActorGone:
            return _error(503, "an actor that must be asked is restarting; try again", (b"retry-after", b"2"))

    def _own_routes(self) -> tuple[Route, ...]:
        read, write, breakers = "servers:read", "servers:write", "breakers:write"
        server, entry, replica = "/servers/{name}", dict[str, Any], "/servers/{name}/replicas/{index}"
        return (
            Route("GET", "/openapi.json", "", "This description", self._describe, gives=dict[str, Any]),
            Route("GET", "/servers", read, "All servers", self._list, gives=ServersPage),
            Route(
                "POST", "/servers", write, "Add a server", self._add, 201, ServerPage, takes=NewEntry, refuses=(409,)
            ),
            Route("GET", server, read, "One server", self._show, gives=ServerPage, refuses=(404,)),
            Route(
                "PATCH",
                server,
                write,
                "Change the entry of a server that was added, by a merge patch (RFC 7396)",
                self._change,
                gives=ServerPage,
                takes=entry,
                refuses=(404, 409),
            ),
            Route("DELETE", server, write, "Remove a server that was added", self._remove, 204, refuses=(404, 409)),
            Route(
                "POST",
                f"{server}/accept",
                write,
                "Agree to the definitions of its tools as they are now",
                self._accept,
                204,
                refuses=(404, 409),
            ),
            Route("POST", f"{replica}/trip", breakers, "Open a breaker by hand", self._trip, 204, refuses=(404,)),
            Route("POST", f"{replica}/reset", breakers, "Close a breaker by hand", self._reset, 204, refuses=(404,)),
            Route("POST", "/reload", "reload", "Have the file read again", self._reload, 202, ReloadPage),
        )

    async def _describe(self, asked: Asked) -> Answer:
        return Answer(200, described(self._routes.routes, PREFIX, version("only1mcp")))

    async def _list(self, asked: Asked) -> Answer:
        return Answer(200, ServersPage(tuple(map(server_page, await self._find_router().servers()))))

    async def _show(self, asked: Asked) -> Answer:
        return await self._shown(asked.names["name"])

    async def _shown(self, name: str) -> Answer:
        server = await self._find(name)
        return _unknown(name) if server is None else Answer(200, server_page(server))

    async def _add(self, asked: Asked) -> Answer:
        entry = read_json(await asked.request.body())
        name = entry.pop("name", None)
        if not isinstance(name, str):
            return _error(422, "a `name` is needed beside what an entry of mcpServers has")
        settings = read_entry(name, entry, ENTRY_FOLDER, self._environ)
        taken = [each.name for each in await self._find_router().servers() if each.name.lower() == name.lower()]
        if taken:
            return _error(409, f"there is a server {taken[0]!r} already")
        return await self._put(settings, entry, 201)

    async def _change(self, asked: Asked) -> Answer:
        name = asked.names["name"]
        patch = read_json(await asked.request.body())
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
        shown = await self._shown(settings.name)
        return Answer(status, shown.page, (place,) if status == 201 else ())

    async def _remove(self, asked: Asked) -> Answer:
        name = asked.names["name"]
        server = await self._find(name)
        if server is None:
            return _unknown(name)
        reason = await self._find_router().remove_server(name)
        if reason:
            return _error(409, reason)
        log.info("server_removed", server=name)
        return Answer(204)

    async def _accept(self, asked: Asked) -> Answer:
        name = asked.names["name"]
        if await self._find(name) is None:
            return _unknown(name)
        reason = await self._find_router().accept_definitions(name)
        return _error(409, reason) if reason else Answer(204)

    async def _trip(self, asked: Asked) -> Answer:
        return await self._switch(asked.names, trips=True)

    async def _reset(self, asked: Asked) -> Answer:
        return await self._switch(asked.names, trips=False)

    async def _switch(self, names: Names, *, trips: bool) -> Answer:
        key = ReplicaKey(names["name"], int(names["index"]))
        server = await self._find(key.backend)
        if server is None or all(status.key != key for status in server.replicas):
            return _error(404, f"there is no replica {str(key)!r}")
        backend = await self._find_backend(key)
        await (backend.trip() if trips else backend.reset())
        log.info("breaker_tripped_by_hand" if trips else "breaker_reset_by_hand", replica=str(key))
        return Answer(204)

    async def _reload(self, asked: Asked) -> Answer:
        await self._find_router().ask_reload()
        return Answer(202, ReloadPage("asked; the command that runs the gateway says what came of it"))

    async def _find(self, name: str) -> ServerState | None:
        return next((server for server in await self._find_router().servers() if server.name == name), None)


def _unknown(name: str) -> Answer:
    return _error(404, f"there is no server {name!r}")
