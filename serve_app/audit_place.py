"""Where the log of the audit lies."""

from pathlib import Path
from typing import Final

import platformdirs

from actors.core.audit_settings import AuditSettings

APPLICATION: Final = "only1mcp"


def audit_path(settings: AuditSettings, port: int | None = None) -> Path:
    """The configured file, else one in the user's folder for state.

    With a `port`, one of its own beside it: several gateways of one configuration cannot write one log.
    """
    if settings.file is not None:
        path = Path(settings.file).expanduser().absolute()
    else:
        path = Path(platformdirs.user_state_dir(APPLICATION)) / "audit" / "audit.jsonl"
    return path if port is None else path.with_name(f"{path.stem}-{port}{path.suffix}")
