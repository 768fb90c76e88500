"""How the commands of this machine come in where clients need TLS: through a socket that only its user can open.

The certificate of the gateway need not name this machine, and its user need not have a client's.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from actors.core.settings import ServerSettings
from serve_app.haproxy_keeper import FILE_VARIABLE, SOCKET_FILE

OWN_ORIGIN: Final = "http://localhost"
"""What requests through the socket are addressed to; the guard admits it whatever hosts are configured."""


def own_socket(server: ServerSettings, environ: Mapping[str, str] = os.environ) -> str | None:
    """The path of the socket; nothing where the port can be used."""
    if server.tls is None:
        return None
    return str(Path(environ[FILE_VARIABLE]).with_name(SOCKET_FILE))
