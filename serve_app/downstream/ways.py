"""What the requests at one ingress replica share on their way to their backends and back."""

from dataclasses import dataclass
from typing import Final

from actors.core.task_ids import TaskIds
from serve_app.connect.invitation import Invitations
from serve_app.downstream.bridge import Bridge
from serve_app.downstream.questions import Questions
from serve_app.downstream.trails import Trails
from serve_app.retries import Retries

GRACE_SECONDS: Final = 5.0
"""A Backend ends a call itself when its time is over; one that has not after so much longer never will."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What passages share: how questions reach clients, how streams and tasks are found again, what retries cost.

    And where users are asked to go, so that a call can be made for them.
    """

    bridge: Bridge
    questions: Questions
    trails: Trails
    tasks: TaskIds
    retries: Retries
    keep_alive_seconds: float
    grace_seconds: float
    invitations: Invitations
