"""The section `policy`: what it comes to, and every sentence about what it cannot be."""

import pytest

from actors.core.permission_settings import ConditionSettings, MfaSettings, PermissionSettings, WindowSettings
from actors.core.policy.faults import faults
from actors.core.policy_settings import BUILT_IN, AssignmentSettings, PolicySettings, RoleSettings
from serve_app.config import demonstration, description
from tests.support.config_files import HTTP, load_tree, problems_of

EVERYONE = [{"role": "viewer", "everyone": True}]
ADMIN_NAMES = (
    "servers:read, servers:write, breakers:write, reload, metrics:read, tokens:read, tokens:write, keys:read,"
    " keys:write, policy:read, audit:read"
)


def with_policy(policy):
    return {"mcpServers": {"web": HTTP}, "policy": policy}


def with_allowed(*permissions):
    return {"roles": {"ops": {"allow": list(permissions)}}, "assignments": EVERYONE}


def with_condition(when, **more):
    return with_allowed({"tools": ["*"], **more, "when": when})


def test_a_policy_is_read_from_the_file(tmp_path):
    when = {
        "networks": ["10.0.0.0/8"],
        "windows": [{"start": "22:00", "until": "06:00", "days": ["fri"], "zone": "Europe/Paris"}],
        "mfa": {"amr": ["otp"], "max_age": 600},
        "annotations": {"destructiveHint": False},
        "arguments": {"required": ["path"], "properties": {"path": {"$ref": "#/$defs/path"}}, "$defs": {"path": {}}},
    }
    policy = {
        "roles": {"ops": {"inherits": ["viewer"], "allow": [{"name": "n", "tools": ["git_*"], "when": when}]}},
        "assignments": [{"role": "ops", "groups": ["${TEAM}"]}],
    }

    loaded = load_tree(tmp_path, with_policy(policy), {"TEAM": "red"})

    condition = ConditionSettings(
        networks=("10.0.0.0/8",),
        windows=(WindowSettings(start="22:00", until="06:00", days=("fri",), zone="Europe/Paris"),),
        mfa=MfaSettings(amr=("otp",), max_age=600.0),
        annotations={"destructiveHint": False},
        arguments=when["arguments"],
    )
    permission = PermissionSettings(name="n", tools=("git_*",), when=condition)
    assert loaded.settings.policy == PolicySettings(
        roles={"ops": RoleSettings(inherits=("viewer",), allow=(permission,))},
        assignments=(AssignmentSettings(role="ops", groups=("red",)),),
    )


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (None, "policy: must be a mapping of names to values"),
        ({}, "policy.assignments: must not be empty: nobody could do anything"),
        ({"rols": {}, "assignments": EVERYONE}, "policy.rols: is not a setting; did you mean 'roles'?"),
        (
            {"roles": {"ops": {"alow": []}}, "assignments": EVERYONE},
            "policy.roles.ops.alow: is not a setting; did you mean 'allow'?",
        ),
        (
            {"roles": {"ops": {"inherits": ["gone"]}}, "assignments": EVERYONE},
            "policy.roles.ops.inherits: names a role that there is not",
        ),
        (
            {"roles": {"a": {"inherits": ["b"]}, "b": {"inherits": ["a"]}}, "assignments": EVERYONE},
            "policy.roles: inherit in a circle: a → b → a",
        ),
        ({"assignments": [{"role": "gone", "everyone": True}]}, "policy.assignments: name a role that there is not"),
        (
            {"assignments": [{"role": "viewer"}]},
            "policy.assignments[0]: must say who, or `everyone: true`, and not both",
        ),
        (
            {"assignments": [{"role": "viewer", "everyone": True, "groups": ["g"]}]},
            "policy.assignments[0]: must say who, or `everyone: true`, and not both",
        ),
        (
            {"assignments": [{"role": "viewer", "group": ["g"]}]},
            "policy.assignments[0].group: is not a setting; did you mean 'groups'?",
        ),
    ],
)
def test_a_policy_that_cannot_be_is_refused(tmp_path, policy, problem):
    assert problems_of(tmp_path, with_policy(policy)) == [problem]


@pytest.mark.parametrize(
    ("permission", "problem"),
    [
        ({"servers": ["web"]}, ": must name tools, prompts, resources, methods or admin actions"),
        ({"tools": ["*"], "servers": []}, ".servers: must not be empty"),
        ({"tools": "*"}, ".tools: must be a list"),
        ({"tool": ["*"]}, ".tool: is not a setting; did you mean 'tools'?"),
        ({"admin": ["reload", "relaod"]}, f".admin: has an entry that is none of {ADMIN_NAMES}"),
        (
            {"methods": ["tools/*"]},
            ".methods: has an entry that is decided by tools, prompts or resources, or needs no permission",
        ),
        (
            {"methods": ["*", "notifications/cancelled"]},
            ".methods: has an entry that is decided by tools, prompts or resources, or needs no permission",
        ),
    ],
)
def test_a_permission_that_cannot_be_is_refused(tmp_path, permission, problem):
    assert problems_of(tmp_path, with_policy(with_allowed(permission))) == [f"policy.roles.ops.allow[0]{problem}"]


@pytest.mark.parametrize(
    ("when", "more", "problem"),
    [
        ({}, {}, ": must demand something"),
        ({"network": []}, {}, ".network: is not a setting; did you mean 'networks'?"),
        ({"networks": ["10.0.0.1/8"]}, {}, ".networks: must hold addresses and networks like 10.0.0.0/8"),
        (
            {"annotations": {"readOnly": True}},
            {},
            ".annotations: knows readOnlyHint, destructiveHint, idempotentHint, openWorldHint",
        ),
        (
            {"annotations": {"readOnlyHint": True}},
            {"tools": [], "prompts": ["*"]},
            ".annotations: are of tools, and none is named",
        ),
        (
            {"annotations": {"readOnlyHint": True}},
            {"prompts": ["*"]},
            ".annotations: are of tools: what else is named here needs a permission of its own",
        ),
        (
            {"arguments": {}},
            {"tools": [], "resources": ["*"]},
            ".arguments: are of tools and prompts, and none is named",
        ),
        (
            {"arguments": {}},
            {"resources": ["*"]},
            ".arguments: are of tools and prompts: what else is named here needs a permission of its own",
        ),
        ({"arguments": {"type": "strin"}}, {}, ".arguments.type: is not valid in a JSON Schema (2020-12)"),
        (
            {"arguments": {"$ref": "https://example.com/schema"}},
            {},
            ".arguments: refers to a schema that it does not hold: nothing is fetched",
        ),
        (
            {"arguments": {"$ref": "#"}},
            {},
            ".arguments: is nested too deep, or refers to itself for ever",
        ),
        ({"mfa": {}}, {}, ".mfa: must demand something: amr, acr or max_age"),
        ({"mfa": {"max_age": 0}}, {}, ".mfa.max_age: must be more than 0 and at most 86400 seconds"),
        ({"windows": [{"start": "9:00"}]}, {}, ".windows[0].start: must be a time like 09:30, in quotes"),
        ({"windows": [{"until": "24:01"}]}, {}, ".windows[0].until: must be a time like 09:30, in quotes"),
        (
            {"windows": [{"days": ["monday"]}]},
            {},
            ".windows[0].days: must be one or more of mon, tue, wed, thu, fri, sat, sun",
        ),
        ({"windows": [{"zone": "Paris"}]}, {}, ".windows[0].zone: is not a time zone of this machine"),
        ({"windows": [{"form": "09:00"}]}, {}, ".windows[0].form: is not a setting"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(tmp_path, when, more, problem):
    problems = problems_of(tmp_path, with_policy(with_condition(when, **more)))

    assert problems == [f"policy.roles.ops.allow[0].when{problem}"]


def test_every_fault_is_named_at_once_in_what_denies_too(tmp_path):
    policy = {
        "roles": {
            "a": {"allow": [{"admin": ["x"]}], "deny": [{"tools": ["*"]}, {"methods": ["ping"]}]},
            "b": {"allow": [{"tools": ["*"], "when": {"arguments": {"minLength": "1"}}}]},
        },
        "assignments": EVERYONE,
    }

    places = [problem.partition(": ")[0] for problem in problems_of(tmp_path, with_policy(policy))]

    assert places == [
        "policy.roles.a.allow[0].admin",
        "policy.roles.a.deny[1].methods",
        "policy.roles.b.allow[0].when.arguments.minLength",
    ]


def test_the_built_in_roles_have_no_fault():
    everyone = (AssignmentSettings(role="viewer", everyone=True),)

    assert list(faults(PolicySettings(roles=BUILT_IN, assignments=everyone))) == []


def test_validate_says_what_roles_there_are_and_who_has_them(tmp_path):
    policy = {
        "roles": {"ops": {"inherits": ["viewer"]}, "viewer": {"allow": [{"tools": ["get_*"]}]}},
        "assignments": [{"role": "ops", "groups": ["red"]}, *EVERYONE],
    }
    settings = load_tree(tmp_path, with_policy(policy)).settings

    assert description(settings, {})[-1] == (
        "policy: 2 roles (ops, viewer) and 2 built in; 2 assignments of ops, viewer; everyone is viewer"
    )
    assert not any(line.startswith("policy") for line in description(demonstration(), {}))
