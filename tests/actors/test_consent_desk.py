"""What a replica does when it hears of a consent."""

from typing import cast

import pytest

from actors.consent_desk import ConsentDesk
from actors.conversations import Conversations
from actors.core.principal import ANONYMOUS, Kind, Principal
from actors.supervisor import Supervisor

ADA = Principal("ada", "", Kind.KEY).key


class Hurried:
    """Stands for a supervisor whose server waits for its next start."""

    def __init__(self) -> None:
        self.times = 0

    def hurry(self) -> None:
        self.times += 1


@pytest.mark.parametrize(("principal", "times"), [("", 1), (ANONYMOUS.key, 1), (ADA, 0)])
def test_a_server_that_waits_for_its_operator_is_started_when_another_replica_has_finished(
    principal: str, times: int
) -> None:
    supervisor = Hurried()
    desk = ConsentDesk(None, cast("Supervisor", supervisor), cast("Conversations", None))

    desk.heed(principal)

    assert supervisor.times == times
