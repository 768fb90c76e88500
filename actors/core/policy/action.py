"""What somebody wants to do, and in which circumstances: all that a policy looks at besides the principal."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from actors.core.listing import LIST_METHODS
from actors.core.tasks import TASK_METHODS


class ActionKind(StrEnum):
    """Which entries of a permission it is held against."""

    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    """Reading one, following one, or being told of a template."""
    METHOD = "method"
    ADMIN = "admin"


class Circumstances(msgspec.Struct, frozen=True):
    """Where a request comes from, and when."""

    ip: str
    """The client's address; what is none is in no network."""
    now: float
    """Unix seconds."""


class Action(msgspec.Struct, frozen=True):
    """One thing to be allowed or denied."""

    kind: ActionKind
    server: str
    """The backend's name; empty for a method that concerns all of them, and for administration."""
    name: str
    """What the backend's own server calls it: of a resource its URI, of a template its text. For the other kinds, the
    method of the protocol, or one of `ADMIN_ACTIONS`."""
    annotations: Mapping[str, bool] = {}
    """Of a tool, as `annotations_of` reads them."""
    arguments: Callable[[], object] | None = None
    """Gives the arguments of a call as plain JSON values, nothing if there are none. It is called only if a permission
    looks at them, and what it raises means that they cannot be judged; so does its absence."""


IMPLIED: Final[Mapping[str, ActionKind]] = {
    "tools/call": ActionKind.TOOL,
    "prompts/get": ActionKind.PROMPT,
    "resources/read": ActionKind.RESOURCE,
    "resources/subscribe": ActionKind.RESOURCE,
}
"""Methods that are decided by what they name. To follow a resource tells no more than to read it again and again."""

FREE: Final = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "logging/setLevel",
        "resources/unsubscribe",
        "subscriptions/listen",
        *LIST_METHODS,
        *TASK_METHODS,
    }
)
"""Methods that need no permission, besides all notifications, and that nothing denies.

Lists show what the caller may use, and a subscription tells of that. A task belongs to the one whose call made it. The
level of log messages is a wish about one's own calls, which modern clients put into each of them.
"""

_NOTIFICATIONS: Final = "notifications/"


def is_free(method: str) -> bool:
    """Whether a method of the protocol needs no permission."""
    return method in FREE or method.startswith(_NOTIFICATIONS)


def kind_of(method: str) -> ActionKind | None:
    """As what a request is decided, nothing if it is free.

    Whatever is not decided by what it names needs the method itself in `methods`: `completion/complete`, of which the
    prompt or template that it is about has to be allowed, too, and methods of extensions.
    """
    return None if is_free(method) else IMPLIED.get(method, ActionKind.METHOD)
