"""All targets, and how many of a hundred inputs each of them gets: the slower ones fewer."""

from dataclasses import dataclass
from typing import Final

from tests.fuzz.bus_frames import bus_frames
from tests.fuzz.envelopes import envelopes
from tests.fuzz.fuzzing import OpenTarget
from tests.fuzz.outcomes import outcomes
from tests.fuzz.posts import posts
from tests.fuzz.server_lines import handshake_lines, modern_lines
from tests.fuzz.socket_frames import socket_frames
from tests.fuzz.sse_bodies import sse_bodies


@dataclass(frozen=True)
class Share:
    """One target, and its part of all inputs."""

    open: OpenTarget
    percent: int

    def of(self, count: int) -> int:
        """Inputs of so many."""
        return count * self.percent // 100


TARGETS: Final = {
    "bus_frames": Share(bus_frames, 25),
    "sse_bodies": Share(sse_bodies, 20),
    "envelopes": Share(envelopes, 20),
    "handshake_lines": Share(handshake_lines, 8),
    "modern_lines": Share(modern_lines, 7),
    "posts": Share(posts, 10),
    "outcomes": Share(outcomes, 5),
    "socket_frames": Share(socket_frames, 5),
}

MOST_GROWN_BYTES: Final = 32 * 1024 * 1024
"""What the memory of the process may grow by during the last three quarters of the inputs of a target: what is kept on
purpose has been filled by then, and allocators keep some megabytes for themselves. A leak of a few hundred bytes an
input shows within a million of them."""
