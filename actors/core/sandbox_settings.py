"""The settings of what a stdio server may take from the machine that it runs on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from actors.core.rules import STRICT, require

LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "memory": (16 * 1024 * 1024, 1 << 50),
    "cpu_seconds": (1, 10**9),
    "files": (16, 1_000_000),
    "processes": (1, 1_000_000),
    "file_size": (0, 1 << 50),
}
"""The least and the most of each limit: with less than that no server starts."""

_VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_USER: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"


class Network(StrEnum):
    """Whom a server can reach."""

    HOST = "host"
    """Whomever the machine can reach."""
    NONE = "none"
    """Nobody: it has a network of its own with nothing but a loopback interface. Sockets in folders are still there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """What is not given is not limited. What this machine cannot enforce is refused, and the server does not start."""

    __pydantic_config__: ClassVar = STRICT

    inherit_env: tuple[str, ...] = ()
    """Variables of our own environment that it sees, beside the short list of harmless ones."""
    memory: int | None = None
    """Bytes of memory that each of its processes may have for itself: what it only reserves, and what it shares with
    others, is not counted."""
    cpu_seconds: int | None = None
    """Seconds each of its processes may compute, in its whole life."""
    files: int | None = None
    """Descriptors each of its processes may have open."""
    processes: int | None = None
    """Processes and threads it may have, all together."""
    file_size: int | None = None
    """Bytes a file may have that it writes."""
    user: str | None = None
    """A user of the machine, by name or number, as whom it runs; only root can do that."""
    network: Network = Network.HOST
    setuid: bool = False
    """Whether programs like `sudo` may give it more rights than it has; only Linux can prevent that."""

    def __post_init__(self) -> None:
        require(
            (("inherit_env",), all(re.fullmatch(_VARIABLE, name) for name in self.inherit_env), "must hold names"),
            (("user",), self.user is None or bool(re.fullmatch(_USER, self.user)), "must be a name or a number"),
            *(
                ((name,), least <= value <= most, f"must be {least} to {most}")
                for name, (least, most) in LIMITS.items()
                if (value := getattr(self, name)) is not None
            ),
        )
