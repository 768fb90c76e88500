"""Stands in for the client that the conformance tool starts: `python conformance_driver.py FOLDER SECONDS URL`.

It leaves in the folder what the tool told it, and ends once it is dismissed; what the client has to do, the test does
in between. A whole client of each scenario's own would take longer to start than any scenario takes, which is also why
nothing but the standard library is imported here.
"""

import json
import os
import sys
import time
from pathlib import Path

TOLD = "told.json"
DISMISSED = "dismissed"
POLL_SECONDS = 0.05


def main() -> int:
    """Wait to be dismissed; returns 1 if nobody did in time."""
    folder, seconds, url = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    part = folder / f"{TOLD}.part"
    part.write_text(json.dumps({"url": url, "context": context}))
    part.rename(folder / TOLD)
    deadline = time.monotonic() + seconds
    while not (folder / DISMISSED).exists():
        if time.monotonic() > deadline:
            return 1
        time.sleep(POLL_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
