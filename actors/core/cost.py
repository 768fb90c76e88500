"""What a call costs its server, as far as its method tells: who goes first when there is more than can be done."""

from typing import Final

from actors.core.call import Call

COSTS: Final = {
    "completion/complete": 0,  # somebody is typing, and wants it now or never
    "tasks/get": 0,
    "tasks/update": 0,
    "tasks/cancel": 0,  # it makes room
    "resources/read": 1,
    "prompts/get": 1,
}
"""The class of each method, less is cheaper."""

DEAREST: Final = 2
"""The class of `tools/call`, which may do anything, and of what is not known here."""


def cost_class(call: Call) -> int:
    """The class of a call, less is cheaper. It goes by the method alone: what a tool does is known to its server only.

    Hints of a server are no measure of cost, and a class that a server could choose for itself would be a way past
    the others.
    """
    return COSTS.get(call.method, DEAREST)
