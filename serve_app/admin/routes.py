"""What can be asked of the admin API: a table of routes, of which it answers, and by which it is described."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from actors.core.caller import Caller
from actors.core.permission_settings import ADMIN_ACTIONS
from serve_app.admin.answer import Answer, error
from serve_app.http import HttpRequest

Names = Mapping[str, str]
"""What a path has in the places of its route."""

S = TypeVar("S", bound=msgspec.Struct)

_PLACE: Final = re.compile(r"\\\{(\w+)\\\}")
_NUMBERS: Final = frozenset({"index"})
"""Places that hold a number; the others hold a name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for one route."""

    request: HttpRequest
    names: Names
    caller: Caller

    async def order(self, kind: type[S], if_empty: bytes = b"") -> S | Answer:
        """What its body says, or the answer that it does not say that; an empty one says `if_empty`.

        Raises:
            BodyTooLarge, BodyTooSlow, ClientGone: see `read_body`.
        """
        try:
            return msgspec.json.decode(await self.request.body() or if_empty, type=kind)
        except msgspec.ValidationError as wrong:  # names fields and types, and no values
            return error(422, str(wrong))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return error(422, "the body is not JSON")


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be done."""

    verb: str
    path: str
    """Below that of the admin API, with places like `{name}`."""
    action: str
    """Of `ADMIN_ACTIONS`: what one needs a permission for; empty if it is enough to be recognised."""
    summary: str
    """A sentence without a full stop."""
    answer: Callable[[Asked], Awaitable[Answer]]
    status: int = 200
    """Of the answer if all is well."""
    gives: Any = None
    """The type of the page then; nothing for an answer without a body."""
    takes: Any = None
    """The type of the body of the request; nothing if it has none."""
    refuses: tuple[int, ...] = ()
    """Statuses of other answers, besides those that every route has."""

    def __post_init__(self) -> None:
        if self.action not in ("", *ADMIN_ACTIONS):
            raise ValueError(f"{self.action!r} is nothing that permissions are about")


class Routes:
    """The table, ready to be asked."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._by_path: dict[re.Pattern[str], dict[str, Route]] = {}
        for route in self.routes:
            self._by_path.setdefault(_pattern(route.path), {})[route.verb] = route

    def find(self, verb: str, path: str) -> tuple[Route, Names] | Answer:
        """The route of a request, with what its path has in the places; or the answer that there is none."""
        for pattern, verbs in self._by_path.items():
            if match := pattern.fullmatch(path):
                if verb in verbs:
                    return verbs[verb], match.groupdict()
                return error(405, f"{verb} is not for this", (b"allow", ", ".join(verbs).encode()))
        return error(404, "there is nothing here")


class Refused(msgspec.Struct, frozen=True):
    """Why not."""

    error: str
    problems: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """What is wrong with an entry, a sentence each."""


def _pattern(path: str) -> re.Pattern[str]:
    def place(match: re.Match[str]) -> str:
        return rf"(?P<{match[1]}>{'[0-9]{1,9}' if match[1] in _NUMBERS else '[^/]+'})"

    return re.compile(_PLACE.sub(place, re.escape(path)) + "/?")


REASONS: Final = {
    200: "Done",
    201: "Made",
    202: "Asked for",
    204: "Done",
    401: "A credential is required",
    403: "The permission is missing",
    404: "There is no such thing",
    408: "The body did not arrive in time",
    409: "It cannot be done to this",
    413: "The body is too large",
    422: "The body cannot be used",
    502: "Somebody else who must be asked says no",
    503: "Come again in a moment",
    507: "There are too many",
}
"""What a status means here."""

EVERYWHERE: Final = (401, 403, 503)
WITH_BODY: Final = (408, 413, 422)


def described(routes: Iterable[Route], prefix: str, version: str) -> dict[str, Any]:
    """The routes as an OpenAPI 3.1 document; `prefix` is where their paths begin."""
    listed = tuple(routes)
    types = [kind for route in listed for kind in (route.gives, route.takes) if kind is not None]
    kinds = list({id(kind): kind for kind in [Refused, *types]}.values())
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    by_id = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        paths.setdefault(route.path, {})[route.verb.lower()] = _operation(route, by_id)
    for path, item in paths.items():
        if places := re.findall(r"\{(\w+)\}", path):
            item["parameters"] = [_parameter(place) for place in places]
    return {
        "openapi": "3.1.0",
        "info": {"title": "only1mcp, administration", "version": version},
        "servers": [{"url": prefix.rstrip("/")}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}, "schemas": components},
    }


def _operation(route: Route, schemas: Mapping[int, Any]) -> dict[str, Any]:
    statuses = {*EVERYWHERE, *route.refuses, *(WITH_BODY if route.takes is not None else ())}
    responses = {str(route.status): _response(route.status, schemas.get(id(route.gives)))}
    responses |= {str(status): _response(status, schemas[id(Refused)]) for status in sorted(statuses)}
    operation: dict[str, Any] = {"summary": route.summary, "responses": responses}
    if route.action:
        operation["x-permission"] = route.action
    if route.takes is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[id(route.takes)]}},
        }
    return operation


def _response(status: int, schema: Any) -> dict[str, Any]:
    response: dict[str, Any] = {"description": REASONS[status]}
    if schema is not None:
        response["content"] = {"application/json": {"schema": schema}}
    return response


def _parameter(place: str) -> dict[str, Any]:
    is_number = place in _NUMBERS
    schema = {"type": "integer", "minimum": 0, "maximum": 999_999_999} if is_number else {"type": "string"}
    return {"name": place, "in": "path", "required": True, "schema": schema}
