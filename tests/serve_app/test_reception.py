"""Who is let in, and what is on offer for them, with an outlook whose views are made by hand."""

from dataclasses import replace
from typing import Any

from actors.core.caller import Caller
from actors.core.catalogue import aggregate
from actors.core.listing import Item, Listing
from actors.core.permission_settings import ConditionSettings, PermissionSettings, WindowSettings
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.principal import Kind, Principal, Verdict
from actors.core.settings import Naming
from actors.core.terms import Terms
from actors.core.view import BackendView, View
from serve_app.authentication import Authentication
from serve_app.outlook import Outlook
from serve_app.peer import peer_of
from serve_app.reception import Reception

LISTING = Listing(tools=(Item("one", b'{"name":"one"}'), Item("two", b'{"name":"two"}')))
VIEW = View(
    "g",
    1,
    {"git": BackendView("git", 9.0, listing=LISTING)},
    aggregate({"git": LISTING}, Naming.QUALIFIED),
    terms=Terms(),
)
NOON = 12 * 3600.0
ANN: Any = {"type": "http", "headers": [(b"authorization", b"Bearer ann")], "client": ("10.0.0.9", 5000)}


def policy(*allow: PermissionSettings) -> PolicySettings:
    return PolicySettings(
        roles={"mine": RoleSettings(allow=allow)}, assignments=(AssignmentSettings(role="mine", subjects=("ann",)),)
    )


class Lobby:
    """A reception whose clock stands still until it is moved."""

    def __init__(self, settings: PolicySettings | None = None) -> None:
        self.now = NOON
        self.asked = 0
        self.outlook = Outlook(lambda: None, lambda _: None)  # type: ignore[arg-type, return-value]
        self.reception = Reception(Authentication(self._verify), self.outlook, peer_of, settings, lambda: self.now)
        self.outlook.adopt(replace(VIEW, terms=Terms(settings)))

    async def _verify(self, credential: str) -> Verdict:
        self.asked += 1
        return Verdict(Principal(credential, "https://issuer", Kind.TOKEN), None, 60.0)

    async def ann(self) -> Caller:
        caller = await self.reception.recognise(ANN)
        assert isinstance(caller, Caller)
        return caller

    def tools(self, caller: Caller) -> list[str]:
        offer = self.reception.offer(caller, None)
        assert offer is not None
        return list(offer.catalogue.tools)


async def test_a_caller_is_a_principal_with_the_roles_it_has_here_and_an_address() -> None:
    lobby = Lobby(policy(PermissionSettings(tools=("one",))))

    caller = await lobby.ann()

    assert (caller.principal.subject, caller.principal.roles, caller.ip) == ("ann", ("mine",), "10.0.0.9")


async def test_without_a_policy_everything_is_for_everyone() -> None:
    lobby = Lobby()

    assert lobby.tools(await lobby.ann()) == ["git__one", "git__two"]


async def test_callers_of_one_stance_share_what_was_rendered() -> None:
    lobby = Lobby(policy(PermissionSettings(tools=("one",))))
    first, second = await lobby.ann(), await lobby.ann()

    assert lobby.reception.offer(first, None) is lobby.reception.offer(second, None)
    assert lobby.tools(first) == ["git__one"]


async def test_an_endpoint_that_has_nothing_for_the_caller_looks_like_one_that_there_is_not() -> None:
    lobby = Lobby(policy(PermissionSettings(servers=("other",), tools=("*",))))
    ann = await lobby.ann()

    assert lobby.reception.offer(ann, "git") is None is lobby.reception.offer(ann, "nothing")
    assert lobby.tools(ann) == []


async def test_a_permission_holds_in_its_hours_only() -> None:
    hours = ConditionSettings(windows=(WindowSettings(start="09:00", until="17:00"),))
    lobby = Lobby(policy(PermissionSettings(tools=("*",), when=hours)))
    ann = await lobby.ann()
    by_day = lobby.tools(ann)
    lobby.now = 20 * 3600.0

    assert by_day == ["git__one", "git__two"]
    assert lobby.tools(ann) == []


async def test_a_new_policy_is_in_force_with_its_view_for_those_who_came_before_too() -> None:
    lobby = Lobby(policy(PermissionSettings(tools=("one",))))
    ann = await lobby.ann()
    narrow = PolicySettings(assignments=(AssignmentSettings(role="viewer", subjects=("bob",)),))

    lobby.outlook.adopt(replace(VIEW, version=2, terms=Terms(narrow)))

    later = lobby.reception.offer_later(ann, None)
    assert later is not None
    assert list(later.catalogue.tools) == lobby.tools(await lobby.ann()) == []
    assert lobby.asked == 2


async def test_a_view_that_says_nothing_of_policies_changes_none() -> None:
    lobby = Lobby(policy(PermissionSettings(tools=("one",))))

    lobby.outlook.adopt(replace(VIEW, version=2, terms=None))

    assert lobby.tools(await lobby.ann()) == ["git__one"]


async def test_administration_is_denied_unless_a_permission_names_it() -> None:
    lobby = Lobby(policy(PermissionSettings(name="watch", admin=("metrics:read",))))
    ann = await lobby.ann()

    assert lobby.reception.permits(ann, "metrics:read") == (True, "watch")
    assert not lobby.reception.permits(ann, "tokens:write").allowed
