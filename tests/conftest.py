"""What holds for every test."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # how long an example takes on a busy machine says nothing of it
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Gateways that tests start keep nothing in the folder of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def log_settings() -> Iterator[None]:
    """A command that a test calls sets how its process logs, and leaves the next test as it was."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
