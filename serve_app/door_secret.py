"""The secret by which ingress replicas know their HAProxy, see `serve_app.peer`."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SECRET_BYTES: Final = 32

_PURPOSE: Final = b"only1mcp door"


def new_secret() -> str:
    """That of a gateway whose HAProxy and replicas are all on this machine."""
    return secrets.token_urlsafe(SECRET_BYTES)


def cluster_secret(environ: Mapping[str, str], home: Path) -> str:
    """The same on every node of a cluster: made from the token of its Ray, which may do more than this secret may.

    Where Ray would find no token there is a new one, and requests that cross nodes come from nowhere.
    """
    token = environ.get("RAY_AUTH_TOKEN", "").strip()
    if not token:
        try:
            path = Path(environ.get("RAY_AUTH_TOKEN_PATH") or home / ".ray" / "auth_token")
            token = path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            token = ""
    return hmac.new(token.encode(), _PURPOSE, hashlib.sha256).hexdigest() if token else new_secret()
