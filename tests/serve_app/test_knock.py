"""The command says `ready` when the ingress answers and knows what is up."""

import httpx
import pytest

from actors.core.settings import ServerSettings
from serve_app.knock import NobodyAnswers, health_url, knock

LIMIT = 10.0


class Door:
    """Answers one page after the other, and the last for ever."""

    def __init__(self, *pages: object) -> None:
        self._pages = list(pages)
        self.knocks = 0

    async def get(self) -> object:
        self.knocks += 1
        page = self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]
        if isinstance(page, Exception):
            raise page
        return page


def page(up: int, total: int = 2) -> object:
    return {"status": "ok", "backends": {"up": up, "total": total}}


async def test_it_waits_until_the_ingress_knows_as_many_to_be_up_as_the_command_does() -> None:
    door = Door(httpx.ConnectError("closed"), page(0, 0), page(0), page(1), page(2))
    await knock(door.get, 2, door_seconds=LIMIT, news_seconds=LIMIT)

    assert door.knocks == 5


async def test_a_backend_that_has_gone_down_meanwhile_does_not_keep_the_gateway_from_being_ready() -> None:
    door = Door(page(1))
    await knock(door.get, 2, door_seconds=LIMIT, news_seconds=0.01)

    assert door.knocks >= 2


@pytest.mark.parametrize("answer", [httpx.ReadError("gone"), ValueError("no JSON"), [], {"backends": 1}, page(0, 0)])
async def test_a_door_where_nobody_of_ours_answers_is_said_to_be_closed(answer: object) -> None:
    with pytest.raises(NobodyAnswers):
        await knock(Door(answer).get, 1, door_seconds=0.01)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/health"),
        ("0.0.0.0", "http://127.0.0.1:8080/health"),
        ("fd00::1", "http://[fd00::1]:8080/health"),
    ],
)
def test_the_door_is_knocked_at_where_this_machine_reaches_it(host: str, url: str) -> None:
    assert health_url(ServerSettings(host=host)) == url
