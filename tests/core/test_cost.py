import pytest

from actors.core.call import Call
from actors.core.cost import COSTS, DEAREST, cost_class
from actors.core.tasks import TASK_METHODS


def cost(method: str) -> int:
    return cost_class(Call(method, b"{}", 1.0))


def test_a_completion_is_cheaper_than_a_read_and_a_read_than_a_tool():
    assert cost("completion/complete") < cost("resources/read") == cost("prompts/get") < cost("tools/call")


@pytest.mark.parametrize("method", sorted(TASK_METHODS))
def test_to_ask_after_a_task_is_cheaper_than_to_begin_one(method: str):
    assert cost(method) < cost("tools/call")


def test_what_is_not_known_is_as_expensive_as_anything():
    assert cost("x/unheard-of") == DEAREST
    assert max(COSTS.values()) < DEAREST
