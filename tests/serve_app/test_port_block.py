"""Gateways of one machine have different ports for their ingress replicas."""

import socket
from contextlib import ExitStack

import pytest

from serve_app.port_block import SIZE, NoPorts, port_block

FIRST, LAST = 11_000, 11_599


def test_two_gateways_never_have_a_port_in_common() -> None:
    with port_block(lambda: 0.5, FIRST, LAST) as one, port_block(lambda: 0.5, FIRST, LAST) as other:
        assert not set(one) & set(other)
        assert len(one) == len(other) == SIZE - 1


def test_a_block_is_free_again_when_its_gateway_has_ended() -> None:
    with port_block(lambda: 0.0, FIRST, LAST) as before:
        pass
    with port_block(lambda: 0.0, FIRST, LAST) as after:
        assert before == after


def test_a_block_in_which_somebody_listens_is_left_to_them() -> None:
    with socket.create_server(("127.0.0.1", FIRST + 7)), port_block(lambda: 0.0, FIRST, LAST) as ports:
        assert ports.start == FIRST + SIZE


def test_with_all_blocks_taken_it_says_so() -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(port_block(lambda: 0.99, FIRST, LAST))
        with pytest.raises(NoPorts), port_block(lambda: 0.0, FIRST, LAST):
            pytest.fail("there was another block")
