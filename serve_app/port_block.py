"""A block of ports for what is behind the HAProxy of one gateway, so that no other's ever takes one for its own.

Serve numbers the ports of replicas from where it is told, in each Ray alike: with two gateways on one machine, a
replica finds its port taken, and until it has another its HAProxy would pass requests to the other gateway. Its own
proxy, which serves while there is no replica, has one port in all of them, and they share it. And HAProxy does not
start at all if anybody has one of the two ports that it wants for its statistics.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

FIRST: Final = 12_000
LAST: Final = 31_999
"""Below the ports that systems give to connections which ask for any."""

_LOOPBACK: Final = "127.0.0.1"

SIZE: Final = 200
"""More than the replicas that an ingress can have, twice: while they are replaced there are both."""


class NoPorts(OSError):  # noqa: N818 - what there is
    """Every block is taken."""


@contextmanager
def port_block(dice: Callable[[], float], first: int = FIRST, last: int = LAST) -> Iterator[range]:
    """Ports that no other gateway of this machine gets for as long as this lasts; `dice` is from 0 up to 1.

    Nobody listens on one of them when it begins. The last port of a block is held as a sign, and is not one of those
    given.

    Raises:
        NoPorts: there is no block left.
    """
    blocks = range(first, last + 2 - SIZE, SIZE)
    begin = int(dice() * len(blocks))
    for start in [*blocks[begin:], *blocks[:begin]]:
        block = range(start, start + SIZE - 1)
        with socket.socket() as sign:
            try:
                sign.bind((_LOOPBACK, start + SIZE - 1))
            except OSError:
                continue
            if not all(map(_is_free, block)):
                continue
            yield block
            return
    raise NoPorts(f"all ports from {first} to {last} are taken")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do not matter
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
        return True
