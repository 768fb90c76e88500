"""How long a start takes: `python -m load.start` runs the command several times and waits for its `ready` line.

Once with the demonstration server alone, once with ten servers over stdio, in turns. Run it at the top of a checkout.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tests.support.gateway_process import gateway, module

KINDS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "the demonstration server": {"demo": module("serve_app.demonstration")},
    "ten stdio servers": {f"echo-{number}": module("tests.support.echo_server", "--stdio") for number in range(10)},
}


def measure(servers: dict[str, dict[str, Any]]) -> float:
    """Seconds from starting the command to its `ready` line."""
    with tempfile.TemporaryDirectory(prefix="only1mcp-load-") as folder:
        began = time.monotonic()
        with gateway(Path(folder), servers, dashboard=True) as running:
            seconds = time.monotonic() - began
            assert running.output().count(" is up: ") == len(servers), running.output()
            return seconds


def main() -> None:
    """Print the seconds of every start, and the median of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds: int = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, servers in KINDS.items():
            seconds[kind].append(measure(servers))
    for kind, measured in seconds.items():
        each = ", ".join(f"{value:.1f}" for value in measured)
        print(f"{kind}: ready after {statistics.median(measured):.1f} s (of {each})")


if __name__ == "__main__":
    main()
