"""Spoilt input in large numbers: `python -m load.fuzz --count 1000000` feeds it to every place where bytes come in.

The same seed makes the same inputs. What must never happen ends the run, with the input that did it.
"""

import argparse
import asyncio
import faulthandler
import sys
import time
from typing import Final

from tests.fuzz.fuzzing import MIB, Figures, Found, fuzz
from tests.fuzz.targets import MOST_GROWN_BYTES, TARGETS

HANG_SECONDS: Final = 120.0
"""A process that feeds nothing for so long hangs; it then shows where, and ends."""


STDERR: Final = 2
"""The real one, whatever stands in for it."""


def feed(name: str, count: int, seed: int) -> Figures:
    """Feed so many inputs to one target.

    Raises:
        Found: something happened that must never happen.
    """

    def alive() -> None:
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=STDERR)

    try:
        figures = asyncio.run(fuzz(name, TARGETS[name].open, count, seed, alive=alive))
    finally:
        faulthandler.cancel_dump_traceback_later()
    if figures.grown_bytes > MOST_GROWN_BYTES:
        raise Found(f"{name}: the memory of the process grew by {figures.grown_bytes / MIB:.1f} MiB")
    return figures


def main(words: list[str] | None = None) -> int:
    """Run as the command line says, and print a line for each target; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="inputs of all targets together")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="another one each time, if not given")
    parser.add_argument("--target", choices=list(TARGETS), help="this one only, with all inputs")
    arguments = parser.parse_args(words)
    names = list(TARGETS) if arguments.target is None else [arguments.target]
    print(f"seed {arguments.seed}")
    print(f"{'target':<16} {'inputs':>9} {'taken':>7} {'inputs/s':>9} {'seconds':>8} {'memory grown':>13}")
    for name in names:
        count = TARGETS[name].of(arguments.count) if arguments.target is None else arguments.count
        try:
            figures = feed(name, count, arguments.seed)
        except Found as found:
            print(f"load.fuzz: {found}", file=sys.stderr)
            return 1
        print(
            f"{name:<16} {figures.inputs:>9,} {figures.taken / max(figures.inputs, 1):>7.0%}"
            f" {figures.inputs / figures.seconds:>9,.0f} {figures.seconds:>8.1f} {figures.grown_bytes / MIB:>9.1f} MiB",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
