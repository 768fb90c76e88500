"""Who has which roles."""

import pytest

from actors.core.policy.roles import closure, roles_of, with_roles
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.principal import ANONYMOUS, Kind, Principal

ALICE = Principal("alice", "https://id", Kind.TOKEN, ("read",), "cli", ("team/red", "all"))
CI = Principal("ci", "", Kind.KEY, ("read",), "ci", ("robots",))


def assigned(principal: Principal, **said: object) -> bool:
    assignments = (AssignmentSettings(role="ops", **said),)  # type: ignore[arg-type]
    return bool(roles_of(PolicySettings(roles={"ops": RoleSettings()}, assignments=assignments), principal))


@pytest.mark.parametrize(
    ("said", "principals"),
    [
        ({"everyone": True}, [ALICE, CI, ANONYMOUS]),
        ({"subjects": ("al*",)}, [ALICE]),
        ({"subjects": ("*",)}, [ALICE]),
        ({"subjects": ("ci", "anonymous")}, []),
        ({"issuers": ("https://id",)}, [ALICE]),
        ({"issuers": ("https://*",)}, []),
        ({"keys": ("c?",)}, [CI]),
        ({"keys": ("alice",)}, []),
        ({"clients": ("cli",)}, [ALICE]),
        ({"clients": ("ci",)}, []),
        ({"groups": ("team/*",)}, [ALICE]),
        ({"groups": ("robots", "all")}, [ALICE, CI]),
        ({"scopes": ("write", "read")}, [ALICE, CI]),
        ({"scopes": ("rea*",)}, []),
        ({"subjects": ("alice",), "issuers": ("https://id",)}, [ALICE]),
        ({"subjects": ("alice",), "issuers": ("https://other",)}, []),
        ({"subjects": ("alice",), "keys": ("ci",)}, []),
    ],
)
def test_an_assignment_is_about_whoever_meets_all_it_says(said, principals: list[Principal]) -> None:
    assert [each for each in (ALICE, CI, ANONYMOUS) if assigned(each, **said)] == principals


def test_inherited_roles_are_there_too_once_each_and_in_order() -> None:
    roles = {
        "top": RoleSettings(inherits=("right", "left")),
        "left": RoleSettings(inherits=("base",)),
        "right": RoleSettings(inherits=("base",)),
        "base": RoleSettings(),
    }
    settings = PolicySettings(roles=roles, assignments=(AssignmentSettings(role="top", subjects=("alice",)),))

    assert roles_of(settings, ALICE) == ("base", "left", "right", "top")
    assert with_roles(settings, ALICE).roles == ("base", "left", "right", "top")
    assert with_roles(settings, ALICE).key == ALICE.key
    assert closure(settings.all_roles, ["gone", "left"]) == ("base", "left")


def test_without_a_policy_nobody_has_a_role() -> None:
    assert roles_of(None, ALICE) == ()
