"""What holds for every test."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

from tests.support.turns import turn_of

settings.register_profile("unhurried", deadline=None)  # how long an example takes on a busy machine says nothing of it
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with gateways come first, see `tests.support.turns`."""
    items.sort(key=lambda item: turn_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What `-n` spreads, and how."""
    from tests.support.two_workers import GatewaysTogether

    config.option.loadscopereorder = False  # what is large is not what comes first
    return GatewaysTogether(config, log)


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Gateways that tests start keep nothing in the folder of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        # hundreds of processes are started, and without it each compiles all that it imports once more
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(autouse=True)
def log_settings() -> Iterator[None]:
    """A command that a test calls sets how its process logs, and leaves the next test as it was."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
