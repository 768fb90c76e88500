import pytest

from actors.core.endpoints import StdioEndpoint
from actors.core.settings import BackendSettings
from actors.core.time_limit import longest, time_limit
from actors.core.view import BackendView

LIMITS = [
    BackendView("git", 60.0, timeouts={"index": 600.0, "status": 5.0}),
    BackendSettings(
        name="git", endpoint=StdioEndpoint(command="git"), timeout=60.0, timeouts={"index": 600.0, "status": 5.0}
    ),
]


@pytest.mark.parametrize("limits", LIMITS, ids=["view", "settings"])
def test_a_tool_has_its_own_limit_and_everything_else_that_of_its_backend(limits: BackendView):
    assert time_limit(limits, "tools/call", "index") == 600.0
    assert time_limit(limits, "tools/call", "status") == 5.0
    assert time_limit(limits, "tools/call", "other") == 60.0
    assert time_limit(limits, "prompts/get", "index") == 60.0
    assert time_limit(limits, "ping", None) == 60.0


@pytest.mark.parametrize("limits", LIMITS, ids=["view", "settings"])
def test_a_call_of_which_nothing_is_known_may_take_as_long_as_any(limits: BackendView):
    assert longest(limits) == 600.0
    assert longest(BackendView("git", 60.0)) == 60.0
