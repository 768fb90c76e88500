"""What it takes to start a stdio server: which file, with which arguments, environment and working directory."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from actors.core.endpoints import StdioEndpoint
from actors.transports import confinement
from actors.transports.guardian import Order
from actors.transports.sandbox import objections, parts_of, variables_of

INHERITED: Final = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""Variables which every server may see, and those that begin with `LC_`; the MCP SDK's list, with locale and time."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A server ready to be started."""

    order: Order
    cwd: str | None

    @classmethod
    def of(cls, endpoint: StdioEndpoint, environ: Mapping[str, str]) -> Self:
        """Resolve an endpoint, `environ` being our own environment.

        Raises:
            OSError: the command or the working directory is not there or not usable, or the sandbox cannot be had
                here; a sentence says which.
        """
        for setting, sentence in objections(endpoint.sandbox, environ):
            raise OSError(f"its sandbox cannot be had: {setting} {sentence}")
        env = server_environment(environ, variables_of(endpoint.sandbox, environ) | dict(endpoint.env))
        if endpoint.cwd is not None and not Path(endpoint.cwd).is_dir():
            raise NotADirectoryError(f"the working directory {endpoint.cwd!r} is not there or not a directory")
        order = Order(
            path=os.fsencode(_resolve(endpoint.command, endpoint.cwd, env.get("PATH", os.defpath))),
            argv=[os.fsencode(text) for text in (endpoint.command, *endpoint.args)],
            env={os.fsencode(name): os.fsencode(value) for name, value in env.items()},
            confinement=confinement.encode(parts_of(endpoint.sandbox)),
            setuid=endpoint.sandbox.setuid,
        )
        return cls(order, endpoint.cwd)


def server_environment(environ: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """The short list from our environment, and `extra` on top of it."""
    inherited = {
        name: value
        for name, value in environ.items()
        if (name in INHERITED or name.startswith("LC_")) and not value.startswith("()")  # an exported shell function
    }
    return inherited | dict(extra)


def _resolve(command: str, cwd: str | None, path: str) -> str:
    if os.sep in command:
        file = Path(cwd or ".", command).absolute()
        if not file.is_file():
            raise FileNotFoundError(f"the command {command!r} is not a file")
        if not os.access(file, os.X_OK):
            raise PermissionError(f"the command {command!r} is not executable")
        return str(file)
    found = shutil.which(command, path=path)
    if found is None:
        raise FileNotFoundError(f"the command {command!r} is not in its PATH ({path})")
    return str(Path(found).absolute())
