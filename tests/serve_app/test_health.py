"""What health says, to anybody."""

import pytest

from actors.core.view import View
from serve_app.health import LIVE, PATHS, health_page
from tests.support.house import Plan, Replica, view_of


def view(*up: bool) -> View:
    return view_of([Replica(f"b{number}", up=each) for number, each in enumerate(up)], Plan())


@pytest.mark.parametrize(
    ("states", "status", "word"),
    [
        ((), 503, "unavailable"),
        ((False,), 503, "unavailable"),
        ((True,), 200, "ok"),
        ((True, True), 200, "ok"),
        ((True, False), 200, "degraded"),
    ],
)
@pytest.mark.parametrize("path", sorted(PATHS - {LIVE}))
async def test_health_is_that_of_the_backends(path: str, states: tuple[bool, ...], status: int, word: str) -> None:
    page = health_page(path, view(*states))

    assert page[0] == status
    assert page[1]["status"] == word
    assert page[1]["backends"] == {"up": sum(states), "total": len(states)}
    assert page[1]["tools"] == len(states)


async def test_a_backend_is_up_while_one_of_its_replicas_is() -> None:
    halved = view_of([Replica(index=0), Replica(index=1, up=False)], Plan())

    assert health_page("/health", halved)[1] == {
        "status": "ok",
        "backends": {"up": 1, "total": 1},
        "tools": 1,
        "resources": 1,
        "prompts": 1,
    }


def test_a_process_that_answers_is_live_whatever_it_knows() -> None:
    assert health_page(LIVE, View()) == (200, {"status": "live"})
