"""`only1mcp reload`: has a gateway read its configuration again, and says what came of it."""

import time
from collections.abc import Callable
from typing import Final, TextIO

from serve_app.cli.desk import WRONG, Desk, DeskError

WAIT_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1


def reload(
    desk: Desk,
    out: TextIO,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Returns the exit code: 0, or 2 if the file cannot be used and nothing has changed.

    Raises:
        DeskError: the gateway cannot be asked, or did not do it in time.
    """
    before = desk.held()
    desk.ask("POST", "/reload")
    if before is None:
        out.write("asked; the command that runs the gateway says what comes of it\n")
        return 0
    until = clock() + WAIT_SECONDS
    while clock() < until:
        held = desk.held()
        if held is not None and held.reloads > before.reloads:
            out.writelines(f"{line}\n" for line in held.reloaded)
            return 0 if held.success else WRONG
        sleep(LOOK_SECONDS)
    raise DeskError(f"the gateway has not read its configuration within {WAIT_SECONDS:g} s")
