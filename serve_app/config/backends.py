"""The `mcpServers` of a file, in the form that desktop clients and editors write, with our own keys beside theirs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from actors.core.credential_settings import CredentialKind
from actors.core.endpoints import Endpoint, HttpEndpoint, SseEndpoint, StdioEndpoint, WebSocketEndpoint
from actors.core.rules import clashes
from actors.core.settings import AUTH_SENTENCE, NAME_PATTERN, NAME_SENTENCE, BackendSettings, Isolation
from actors.core.traffic_settings import PoolUrl
from serve_app.config.expansion import expand_tree
from serve_app.config.file_references import FileReferences
from serve_app.config.machine import check_client_key, check_sandbox, place_runtime_env, place_stdio
from serve_app.config.problems import Problems, Where, spell, suggestion
from serve_app.config.reading import Tree
from serve_app.config.shape import shape

SECTION: Final = "mcpServers"

IGNORED_KEYS: Final = frozenset({"autoApprove", "alwaysAllow", "description"})
"""Clients write these for their own users; they say nothing about the server."""

TYPES: Final[Mapping[str, type[Endpoint]]] = {
    "stdio": StdioEndpoint,
    "http": HttpEndpoint,
    "streamable-http": HttpEndpoint,
    "streamable_http": HttpEndpoint,
    "streamableHttp": HttpEndpoint,
    "sse": SseEndpoint,
    "ws": WebSocketEndpoint,
    "websocket": WebSocketEndpoint,
}

_STDIO_KEYS: Final = frozenset(field.name for field in fields(StdioEndpoint))
_URL_KEYS: Final = frozenset({"url", "urls", "headers"})
_OWN_KEYS: Final = frozenset(field.name for field in fields(BackendSettings)) - {"name", "endpoint", "urls"}
_KNOWN_KEYS: Final = _STDIO_KEYS | _URL_KEYS | _OWN_KEYS | {"type", "disabled"}

_PLACED_KEYS: Final = frozenset({"resources", "runtime_env", "placement"})
"""With one of these a server runs where Ray has what it needs, and may be installed there first."""

_WEBSOCKET_URL: Final = re.compile("wss?://", re.IGNORECASE)

_BACKEND: Final = TypeAdapter(BackendSettings)
_POOL_URL: Final = TypeAdapter(PoolUrl)
_ENDPOINTS: Final[Mapping[type[Endpoint], TypeAdapter[Endpoint]]] = {
    StdioEndpoint: TypeAdapter(StdioEndpoint),
    HttpEndpoint: TypeAdapter(HttpEndpoint),
    SseEndpoint: TypeAdapter(SseEndpoint),
    WebSocketEndpoint: TypeAdapter(WebSocketEndpoint),
}


@dataclass(frozen=True, slots=True)
class Backends:
    """What `mcpServers` holds."""

    settings: tuple[BackendSettings, ...]
    written: Mapping[str, str]
    """For each backend its command line or URL as it is in the file, variables unexpanded."""
    notes: tuple[str, ...]


class BackendReader:
    """Reads the backends of one file; what is wrong goes into `problems`."""

    def __init__(self, folder: Path, environ: Mapping[str, str], problems: Problems, files: FileReferences) -> None:
        """`folder` is where relative paths begin."""
        self._folder = folder
        self._environ = environ
        self._files = files
        self._problems = problems
        self._notes: list[str] = []

    def read(self, tree: object) -> Backends:
        """The backends in the value of `mcpServers`, in the order of the file."""
        settings: list[BackendSettings] = []
        written: dict[str, str] = {}
        before = len(self._problems)
        if not isinstance(tree, dict):
            self._problems.add((SECTION,), "must be a mapping of names to servers")
            tree = {}
        for name, earlier in clashes(tree).items():
            self._problems.add((SECTION, name), f"differs from {earlier!r} in upper and lower case only")
        for name, server in tree.items():
            where = (SECTION, name)
            if not isinstance(server, dict):
                self._problems.add(where, "must be a mapping, with a command or a url")
            elif not self._is_disabled(server, where) and (backend := self._read_one(name, server, where)):
                settings.append(backend)
                written[name] = _written(server)
        if not settings and len(self._problems) == before:
            self._problems.add((SECTION,), "has no server to put behind the gateway")
        return Backends(tuple(settings), written, tuple(self._notes))

    def _is_disabled(self, server: Tree, where: Where) -> bool:
        disabled = server.get("disabled", False)
        if not isinstance(disabled, bool):
            self._problems.add((*where, "disabled"), "must be true or false")
        elif disabled:
            self._notes.append(f"left out, because it is disabled: {spell(where)}")
        return disabled is True

    def _read_one(self, name: str, server: Tree, where: Where) -> BackendSettings | None:
        named_well = bool(re.fullmatch(NAME_PATTERN, name))
        if not named_well:
            self._problems.add(where, NAME_SENTENCE)
        ignored = [key for key in server if key in IGNORED_KEYS]
        self._notes.extend(f"ignored: {spell((*where, key))}" for key in ignored)
        for key in [key for key in server if key not in IGNORED_KEYS | _KNOWN_KEYS]:
            self._problems.add((*where, key), f"is not a setting of a server{suggestion(key, _KNOWN_KEYS)}")
        before = len(self._problems)
        known = {key: value for key, value in server.items() if key in _KNOWN_KEYS}
        expanded = {
            key: expand_tree(value, (*where, key), self._environ, self._problems, self._files)
            for key, value in known.items()
        }
        all_set = len(self._problems) == before
        kind = self._kind(expanded, where)
        if kind is None:
            return None
        foreign = (_URL_KEYS if kind is StdioEndpoint else _STDIO_KEYS) & expanded.keys()
        for key in foreign:
            self._problems.add((*where, key), f"belongs to a server with a {'url' if key in _URL_KEYS else 'command'}")
        place = {key: expanded[key] for key in (_STDIO_KEYS | _URL_KEYS) - foreign if key in expanded}
        pool = self._pool(place, kind, where)
        if kind is HttpEndpoint:
            place["sse_fallback"] = "type" not in expanded and "auth" not in expanded
        if kind is StdioEndpoint and all_set and not _PLACED_KEYS & expanded.keys():
            place_stdio(place, server.get("command"), where, self._folder, self._environ, self._problems)
            check_sandbox(place.get("sandbox"), where, self._environ, self._problems)
        if all_set:
            place_runtime_env(expanded.get("runtime_env"), where, self._folder, self._environ, self._problems)
        endpoint = shape(_ENDPOINTS[kind], place, where, self._problems) if pool is not None else None
        own = {key: value for key, value in expanded.items() if key in _OWN_KEYS}
        backend = self._own_settings(own, pool or [], expanded, kind, where)
        if endpoint is None or backend is None or not named_well:
            return None
        return replace(backend, name=name, endpoint=endpoint)

    def _own_settings(
        self, own: Tree, pool: list[Tree], server: Tree, kind: type[Endpoint], where: Where
    ) -> BackendSettings | None:
        """What is said of the backend beside its endpoint, in whose place something else stands yet."""
        auth_well = self._prepare_auth(own, server, kind, where)
        if isinstance(own.get("pin"), bool):
            own["pin"] = "on" if own["pin"] else "off"
        if isinstance(own.get("balancer"), str):
            own["balancer"] = {"kind": own["balancer"]}
        # A stand-in has the other settings checked even where the endpoint or the name is wrong.
        stand_in = {"name": "x", "endpoint": {"url": "http://x"}, "urls": pool, **own}
        backend = shape(_BACKEND, stand_in, where, self._problems)
        if backend is not None and backend.auth is not None:
            check_client_key(backend.auth, (*where, "auth"), self._problems)
        return backend if auth_well else None

    def _pool(self, place: Tree, kind: type[Endpoint], where: Where) -> list[Tree] | None:
        """The servers of `urls`, of which the first becomes the `url` of the endpoint; nothing if they are wrong."""
        if "urls" not in place:
            return []
        urls = place.pop("urls")
        if kind is not HttpEndpoint:
            self._problems.add((*where, "urls"), "belongs to a server of the type http")
        elif not isinstance(urls, list) or not urls:
            self._problems.add((*where, "urls"), "must be a list of URLs")
        else:
            members = [self._member(entry, (*where, "urls", position)) for position, entry in enumerate(urls)]
            pool: list[Tree] = [{"url": each.url, "weight": each.weight} for each in members if each is not None]
            if pool:
                place["url"] = pool[0]["url"]
                return pool
        return None

    def _prepare_auth(self, own: Tree, server: Tree, kind: type[Endpoint], where: Where) -> bool:
        """Settle what follows from `auth`; whether all is well that stands beside it."""
        if "auth" not in own:
            return True
        before = len(self._problems)
        headers = server.get("headers")
        if kind is not HttpEndpoint:
            self._problems.add((*where, "auth"), AUTH_SENTENCE)
        for name in headers if isinstance(headers, dict) else ():
            if name.lower() == "authorization":
                self._problems.add((*where, "headers", name), "must not be given beside `auth`")
        auth = own["auth"]
        if isinstance(auth, dict) and auth.get("kind") in (CredentialKind.TOKEN_EXCHANGE, CredentialKind.USER):
            own.setdefault("isolation", Isolation.PRINCIPAL.value)
        return len(self._problems) == before

    def _member(self, entry: object, where: Where) -> PoolUrl | None:
        if isinstance(entry, str):
            entry = {"url": entry}
        if isinstance(entry, dict):
            return shape(_POOL_URL, entry, where, self._problems)
        self._problems.add(where, "must be a URL, or a mapping with a url and a weight")
        return None

    def _kind(self, server: Tree, where: Where) -> type[Endpoint] | None:
        """Which kind of server this is. Rungs: what `type` says; both a command and a url; either; neither."""
        kind = server.get("type")
        if isinstance(kind, str) and kind in TYPES:
            return TYPES[kind]
        if "type" in server:
            self._problems.add((*where, "type"), "must be stdio, http, streamable-http, sse or websocket")
        elif "command" in server and "url" in server:
            self._problems.add(where, "has a command and a url: keep one of them")
        elif "url" in server and "urls" in server:
            self._problems.add(where, "has a url and urls: keep one of them")
        elif "command" in server:
            return StdioEndpoint
        elif "urls" in server:
            return HttpEndpoint
        elif "url" in server:
            return WebSocketEndpoint if _WEBSOCKET_URL.match(str(server["url"])) else HttpEndpoint
        else:
            self._problems.add(where, "needs a command or a url")
        return None


def _written(server: Tree) -> str:
    urls = server.get("urls")
    if isinstance(urls, list):
        first = urls[0].get("url") if isinstance(urls[0], dict) else urls[0]
        return _without_query(str(first)) + (f" and {len(urls) - 1} more" if len(urls) > 1 else "")
    if "url" in server:
        return _without_query(str(server["url"]))
    args = server.get("args", [])
    words = [server["command"], *(args if isinstance(args, list) else [])]
    return " ".join(repr(word) if not word or " " in word else word for word in map(str, words))


def _without_query(url: str) -> str:
    place, query, _ = url.partition("?")
    return f"{place}?…" if query else place  # some services want their key in the query
