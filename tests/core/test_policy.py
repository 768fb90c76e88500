"""What a policy lets its principals do."""

import pytest

from actors.core.listing import LIST_METHODS
from actors.core.permission_settings import ConditionSettings, MfaSettings, PermissionSettings
from actors.core.policy.action import Action, ActionKind, Circumstances, kind_of
from actors.core.policy.policy import ADMIN_SCOPE, UNCONFIGURED, Policy
from actors.core.policy.stance import NEEDS_NONE, NOTHING, Decision
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.principal import ANONYMOUS, Kind, Principal
from actors.core.rules import SettingsError

HERE = Circumstances("10.0.0.1", 1_800_000_000.0)
READ = Action(ActionKind.TOOL, "git", "read", {"readOnlyHint": True})
WRITE = Action(ActionKind.TOOL, "git", "write")
IN_DATA = {"properties": {"path": {"type": "string", "pattern": "^/data/"}}, "required": ["path"]}
EVERY_TOOL = PermissionSettings(tools=("*",))


def policy_of(**roles: RoleSettings) -> Policy:
    return Policy(PolicySettings(roles=roles, assignments=(AssignmentSettings(role="viewer", everyone=True),)))


def allowing(*permissions: PermissionSettings) -> RoleSettings:
    return RoleSettings(allow=permissions)


def who(*roles: str, **more: object) -> Principal:
    return Principal("alice", "https://id", Kind.TOKEN, roles=roles, **more)  # type: ignore[arg-type]


def with_arguments(arguments: object) -> Action:
    return Action(ActionKind.TOOL, "git", "write", arguments=lambda: arguments)


def decide(policy: Policy, action: Action, *roles: str) -> Decision:
    return policy.stance(who(*roles), HERE).decide(action)


def test_whoever_has_no_role_may_do_nothing_but_what_needs_no_permission() -> None:
    policy = policy_of()

    assert decide(policy, READ) == Decision(False, NOTHING)
    assert decide(policy, Action(ActionKind.ADMIN, "", "reload")) == Decision(False, NOTHING)
    assert decide(policy, Action(ActionKind.METHOD, "", "ping")) == Decision(True, NEEDS_NONE)
    assert decide(policy, READ, "no such role") == Decision(False, NOTHING)


def test_the_built_in_roles_build_on_each_other() -> None:
    policy = policy_of()
    complete = Action(ActionKind.METHOD, "git", "completion/complete")
    actions = [
        READ,
        WRITE,
        complete,
        Action(ActionKind.ADMIN, "", "servers:read"),
        Action(ActionKind.ADMIN, "", "reload"),
    ]

    def allowed(role: str) -> list[bool]:
        return [decide(policy, action, role).allowed for action in actions]

    assert allowed("viewer") == [True, False, False, True, False]
    assert allowed("developer") == [True, True, True, True, False]
    assert allowed("admin") == [True, True, True, True, True]


def test_what_denies_wins_over_what_allows_even_if_it_is_inherited() -> None:
    base = RoleSettings(deny=(PermissionSettings(name="never", tools=("write",)),))
    policy = policy_of(base=base, ops=RoleSettings(inherits=("base",), allow=(EVERY_TOOL,)))

    assert decide(policy, WRITE, "ops") == Decision(False, "never")
    assert decide(policy, READ, "ops") == Decision(True, "ops.allow[0]")


def test_a_permission_on_some_servers_says_nothing_of_others_nor_of_a_method_of_all() -> None:
    policy = policy_of(ops=allowing(PermissionSettings(servers=("git",), tools=("*",), methods=("*",))))

    assert decide(policy, WRITE, "ops").allowed
    assert not decide(policy, Action(ActionKind.TOOL, "web", "write"), "ops").allowed
    assert decide(policy, Action(ActionKind.METHOD, "git", "vendor/x"), "ops").allowed
    assert not decide(policy, Action(ActionKind.METHOD, "", "vendor/x"), "ops").allowed


def test_an_entry_of_one_kind_says_nothing_of_the_others() -> None:
    policy = policy_of(ops=allowing(EVERY_TOOL))

    for kind in set(ActionKind) - {ActionKind.TOOL}:
        assert not decide(policy, Action(kind, "git", "write"), "ops").allowed


def test_the_hints_of_a_tool_decide_where_a_permission_asks_for_them() -> None:
    harmless = PermissionSettings(tools=("*",), when=ConditionSettings(annotations={"destructiveHint": False}))
    policy = policy_of(ops=allowing(harmless))

    def allowed(**hints: bool) -> bool:
        return decide(policy, Action(ActionKind.TOOL, "git", "write", hints), "ops").allowed

    assert not allowed()
    assert allowed(destructiveHint=False)
    assert allowed(readOnlyHint=True), "what only reads destroys nothing"
    assert not allowed(readOnlyHint=True, destructiveHint=True)


def test_arguments_are_looked_at_where_a_permission_asks_for_them() -> None:
    policy = policy_of(ops=allowing(PermissionSettings(tools=("*",), when=ConditionSettings(arguments=IN_DATA))))

    assert decide(policy, with_arguments({"path": "/data/x"}), "ops").allowed
    assert not decide(policy, with_arguments({"path": "/etc/x"}), "ops").allowed
    assert not decide(policy, with_arguments(None), "ops").allowed


def fail() -> object:
    raise ValueError


def deep() -> object:
    value: object = {"path": "/data/x"}
    for _ in range(200):
        value = [value]
    return {"path": "/data/x", "more": value}


def much() -> object:
    return {"path": "/data/x", "more": [0] * 5000}


@pytest.mark.parametrize("read", [None, fail, deep, much])
def test_arguments_that_cannot_be_judged_fit_what_denies_and_nothing_that_allows(read: object) -> None:
    asking = PermissionSettings(name="asking", tools=("*",), when=ConditionSettings(arguments=IN_DATA))
    policy = policy_of(
        lax=allowing(asking), strict=RoleSettings(allow=(EVERY_TOOL,), deny=(asking,)), free=allowing(EVERY_TOOL)
    )
    action = Action(ActionKind.TOOL, "git", "write", arguments=read)  # type: ignore[arg-type]

    assert decide(policy, action, "lax") == Decision(False, NOTHING)
    assert decide(policy, action, "strict") == Decision(False, "asking")
    assert decide(policy, action, "free").allowed


def test_arguments_are_read_once_and_only_if_they_can_decide() -> None:
    asking = PermissionSettings(tools=("write",), when=ConditionSettings(arguments=IN_DATA))
    policy = policy_of(asks=allowing(asking, asking), free=allowing(EVERY_TOOL))
    reads = []
    action = Action(ActionKind.TOOL, "git", "write", arguments=lambda: reads.append(1))

    for roles, wanted in ((("asks",), True), (("asks", "free"), False)):
        reads.clear()
        stance = policy.stance(who(*roles), HERE)
        stance.decide(action)
        assert (stance.wants_arguments(action), len(reads)) == (wanted, int(wanted))


def test_lists_show_what_some_arguments_would_allow() -> None:
    asking = PermissionSettings(tools=("write",), when=ConditionSettings(arguments=IN_DATA))
    policy = policy_of(
        asks=allowing(asking),
        careful=RoleSettings(allow=(EVERY_TOOL,), deny=(asking,)),
        never=RoleSettings(allow=(EVERY_TOOL,), deny=(PermissionSettings(tools=("write",)),)),
    )

    def shown(role: str) -> tuple[bool, bool]:
        stance = policy.stance(who(role), HERE)
        return stance.may_show(READ), stance.may_show(WRITE)

    assert shown("asks") == (False, True)
    assert shown("careful") == (True, True)
    assert shown("never") == (True, False)


def test_a_stance_is_another_one_where_other_permissions_hold_and_only_there() -> None:
    proven = PermissionSettings(tools=("*",), when=ConditionSettings(mfa=MfaSettings(amr=("otp",))))
    policy = policy_of(ops=allowing(proven), empty=RoleSettings(inherits=("ops",)))

    plain, strong = policy.stance(who("ops"), HERE), policy.stance(who("ops", amr=("otp",)), HERE)

    assert plain != strong
    assert strong == policy.stance(who("empty", amr=("otp", "pwd")), Circumstances("8.8.8.8", 0.0))
    assert hash(strong) == hash(policy.stance(who("empty", amr=("otp",)), HERE))
    assert strong != policy_of(ops=allowing(proven)).stance(who("ops", amr=("otp",)), HERE)


def test_without_a_policy_everything_is_allowed_but_administration_which_needs_the_scope() -> None:
    policy, reload = Policy(None), Action(ActionKind.ADMIN, "", "reload")

    for principal in (ANONYMOUS, who("no such role")):
        stance = policy.stance(principal, HERE)
        for kind in set(ActionKind) - {ActionKind.ADMIN}:
            assert stance.decide(Action(kind, "git", "vendor/x")) == Decision(True, UNCONFIGURED)
        assert stance.decide(reload) == Decision(False, NOTHING)
    assert policy.stance(who(scopes=(ADMIN_SCOPE,)), HERE).decide(reload).allowed
    assert not policy_of().stance(who(scopes=(ADMIN_SCOPE,)), HERE).decide(reload).allowed


def test_a_forged_role_of_the_name_of_the_scope_opens_nothing_without_a_policy() -> None:
    stance = Policy(None).stance(who(ADMIN_SCOPE), HERE)

    assert not stance.decide(Action(ActionKind.ADMIN, "", "reload")).allowed


def test_every_method_is_free_or_decided_by_what_it_names_or_wants_a_permission() -> None:
    assert {kind_of(method) for method in (*LIST_METHODS, "initialize", "notifications/cancelled")} == {None}
    assert kind_of("tools/call") is ActionKind.TOOL
    assert kind_of("prompts/get") is ActionKind.PROMPT
    assert kind_of("resources/subscribe") is ActionKind.RESOURCE
    assert kind_of("completion/complete") is ActionKind.METHOD
    assert kind_of("vendor/x") is ActionKind.METHOD


def test_settings_that_could_never_hold_are_refused_when_made_by_hand_too() -> None:
    with pytest.raises(SettingsError) as caught:
        policy_of(ops=allowing(PermissionSettings(admin=("reload", "relaod"))))

    assert caught.value.reasons[0][0] == ("roles", "ops", "allow", "0", "admin")


def test_an_explanation_lists_what_denies_first_and_says_why_each_did_not_apply() -> None:
    asking = PermissionSettings(tools=("write",), when=ConditionSettings(arguments=IN_DATA))
    denying = PermissionSettings(tools=("*",), when=ConditionSettings(networks=("192.168.0.0/16",)))
    policy = policy_of(ops=RoleSettings(inherits=("viewer",), allow=(asking, EVERY_TOOL), deny=(denying,)))

    explained = policy.explain(who("ops"), HERE, with_arguments({}))

    assert (explained.decision, explained.roles) == (Decision(True, "ops.allow[1]"), ("ops", "viewer"))
    assert [(step.rule, step.applies, step.reason) for step in explained.steps] == [
        ("ops.deny[0]", False, "the request does not come from one of its networks"),
        ("ops.allow[1]", True, "it applies"),
        ("viewer: what only reads", False, "it says nothing of tools"),
        ("viewer: tools that only read", False, "readOnlyHint of the tool is not true"),
        ("viewer: administration", False, "it says nothing of tools"),
        ("ops.allow[0]", False, "the arguments do not fit its schema"),
    ]
