import json

import pytest

from actors.core import jsonrpc
from actors.core.catalogue import aggregate
from actors.core.clearance import MAX_KNOWN, MAX_NAME, Clearance
from actors.core.listing import Facts, Item, Kind, Listing
from actors.core.naming import Owned
from actors.core.offer import Offer
from actors.core.permission_settings import ConditionSettings, PermissionSettings
from actors.core.policy.action import Circumstances
from actors.core.policy.policy import Policy
from actors.core.policy.stance import Stance
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.principal import Kind as PrincipalKind
from actors.core.principal import Principal
from actors.core.revisions import LATEST_HANDSHAKE, LATEST_MODERN, Era
from actors.core.routing import Rejection, Route
from actors.core.settings import Naming
from actors.core.view import BackendView, View

GIT = Listing(
    tools=(
        Item("status", b'{"name":"status","annotations":{"readOnlyHint":true}}'),
        Item("push", b'{"name":"push"}'),
    ),
    resources=(Item("git:a", b'{"uri":"git:a","name":"a"}'), Item("git:b", b'{"uri":"git:b","name":"b"}')),
    templates=(Item("git:{+path}", b'{"uriTemplate":"git:{+path}","name":"any"}'),),
    prompts=(Item("review", b'{"name":"review"}'), Item("blame", b'{"name":"blame"}')),
)
WEB = Listing(tools=(Item("open", b'{"name":"open"}'),))
CAPABILITIES = b'{"tools":{},"resources":{},"prompts":{}}'
BACKENDS = {
    "git": BackendView("git", 9.0, listing=GIT, facts=Facts(Era.HANDSHAKE, LATEST_HANDSHAKE, b"{}", CAPABILITIES, "g")),
    "web": BackendView(
        "web", 9.0, listing=WEB, facts=Facts(Era.HANDSHAKE, LATEST_HANDSHAKE, b"{}", b'{"tools":{}}', "w")
    ),
}
VIEW = View("g", 1, BACKENDS, aggregate({"git": GIT, "web": WEB}, Naming.QUALIFIED))


def offer(backend: str | None, *allow: PermissionSettings, deny: tuple[PermissionSettings, ...] = ()) -> Offer:
    settings = PolicySettings(
        roles={"mine": RoleSettings(allow=allow, deny=deny)},
        assignments=(AssignmentSettings(role="mine", everyone=True),),
    )
    principal = Principal("ann", "", PrincipalKind.KEY, roles=("mine",))
    return Offer(VIEW, backend, stance=Policy(settings).stance(principal, Circumstances("127.0.0.1", 0.0)))


def call(name: str, arguments: str = "{}") -> jsonrpc.Object:
    return jsonrpc.decode_object(json.dumps({"name": name}).encode()[:-1] + f',"arguments":{arguments}}}'.encode())


def names(of: Offer, kind: Kind) -> list[str]:
    result = of.list_result(kind, LATEST_MODERN)
    assert isinstance(result, bytes)
    return [each.get("name") for each in json.loads(result)[kind.value]]


def test_a_list_has_what_the_caller_may_use_and_nothing_else():
    mine = offer(None, PermissionSettings(servers=("git",), tools=("p*",), prompts=("review",)))

    assert names(mine, Kind.TOOLS) == ["git__push"]
    assert names(mine, Kind.PROMPTS) == ["git__review"]
    assert names(mine, Kind.RESOURCES) == names(mine, Kind.TEMPLATES) == []


@pytest.mark.parametrize("backend", [None, "git"])
@pytest.mark.parametrize(
    ("method", "forbidden", "unknown"),
    [
        ("tools/call", {"name": "push"}, {"name": "nono"}),
        ("prompts/get", {"name": "blame"}, {"name": "nono"}),
        ("resources/read", {"uri": "git:b"}, {"uri": "nono:"}),
    ],
)
@pytest.mark.parametrize("era", list(Era))
def test_what_is_forbidden_is_answered_like_what_there_is_not(backend, method, forbidden, unknown, era):
    mine = offer(backend, PermissionSettings(tools=("status",), prompts=("review",), resources=("git:a",)))
    key = next(iter(forbidden))
    prefix = "git__" if backend is None and key == "name" else ""

    rejections = []
    for each in (forbidden, unknown):
        name = prefix + each[key]
        found = mine.route(method, jsonrpc.decode_object(json.dumps({key: name}).encode()), era)
        assert isinstance(found, Rejection)
        rejections.append(found.error.replace(name.encode(), b"X"))

    assert rejections[0] == rejections[1]


def test_a_resource_of_a_template_is_decided_by_its_own_uri():
    mine = offer(None, PermissionSettings(resources=("git:open/*",)))

    assert isinstance(mine.route("resources/read", {"uri": jsonrpc.raw("git:open/x")}, Era.MODERN), Route)
    assert isinstance(mine.route("resources/read", {"uri": jsonrpc.raw("git:shut/x")}, Era.MODERN), Rejection)


def test_the_hints_of_a_tool_decide_where_a_permission_asks_for_them():
    reading = PermissionSettings(tools=("*",), when=ConditionSettings(annotations={"readOnlyHint": True}))

    for backend in (None, "git"):
        mine = offer(backend, reading)
        prefix = "git__" if backend is None else ""
        assert names(mine, Kind.TOOLS) == [f"{prefix}status"]
        assert isinstance(mine.route("tools/call", call(f"{prefix}status"), Era.MODERN), Route)
        assert isinstance(mine.route("tools/call", call(f"{prefix}push"), Era.MODERN), Rejection)


def test_arguments_are_judged_at_the_call_and_the_list_shows_the_tool():
    to_main = ConditionSettings(arguments={"properties": {"branch": {"const": "dev"}}, "required": ["branch"]})
    mine = offer(None, PermissionSettings(name="dev only", servers=("git",), tools=("push",), when=to_main))

    assert names(mine, Kind.TOOLS) == ["git__push"]
    allowed = mine.route("tools/call", call("git__push", '{"branch":"dev"}'), Era.MODERN)
    assert isinstance(allowed, Route)
    assert allowed.rule == "dev only"
    assert isinstance(mine.route("tools/call", call("git__push", '{"branch":"main"}'), Era.MODERN), Rejection)
    assert isinstance(mine.route("tools/call", call("git__push"), Era.MODERN), Rejection)


@pytest.mark.parametrize("arguments", ['{"branch":"main","branch":"dev"}', '{"a":{"b":1,"b":1},"branch":"dev"}'])
def test_arguments_that_two_readers_could_take_differently_are_not_judged(arguments):
    dev = ConditionSettings(arguments={"properties": {"branch": {"const": "dev"}}, "required": ["branch"]})
    main = ConditionSettings(arguments={"properties": {"branch": {"const": "main"}}, "required": ["branch"]})
    everything = PermissionSettings(tools=("*",))

    allowing = offer(None, PermissionSettings(tools=("push",), when=dev))
    denying = offer(None, everything, deny=(PermissionSettings(tools=("push",), when=main),))

    assert isinstance(allowing.route("tools/call", call("git__push", arguments), Era.MODERN), Rejection)
    assert isinstance(denying.route("tools/call", call("git__push", arguments), Era.MODERN), Rejection)
    assert isinstance(denying.route("tools/call", call("git__push", '{"branch":"dev"}'), Era.MODERN), Route)


def test_what_does_not_depend_on_arguments_is_decided_once_and_what_does_each_time(monkeypatch):
    dev = ConditionSettings(arguments={"properties": {"branch": {"const": "dev"}}, "required": ["branch"]})
    mine = offer(None, PermissionSettings(tools=("status",)), PermissionSettings(tools=("push",), when=dev))
    decided = []
    decide = Stance.decide
    monkeypatch.setattr(Stance, "decide", lambda self, action: decided.append(action.name) or decide(self, action))

    found = [
        isinstance(mine.route("tools/call", call(f"git__{name}", f'{{"branch":"{branch}"}}'), Era.MODERN), Route)
        for name in ("status", "push")
        for branch in ("dev", "main", "dev")
    ]

    assert found == [True, True, True, True, False, True]
    assert decided == ["status", "push", "push", "push"]


def test_of_names_that_clients_make_up_no_more_than_so_many_and_none_that_is_long_are_remembered():
    clearance = Clearance(Stance(object(), ()), VIEW)

    for name in [*map(str, range(MAX_KNOWN + 5)), "x" * (MAX_NAME + 1)]:
        assert not clearance.decide("tools/call", Owned("git", name), {}).allowed

    assert len(clearance) == 5


def test_a_completion_needs_the_method_and_what_it_is_about():
    about = {"ref": jsonrpc.raw({"type": "ref/prompt", "name": "git__review"}), "argument": jsonrpc.raw({})}
    prompt, method = PermissionSettings(prompts=("review",)), PermissionSettings(methods=("completion/complete",))

    found = [
        isinstance(offer(None, *allow).route("completion/complete", about, Era.MODERN), Route)
        for allow in ((prompt,), (method,), (prompt, method))
    ]

    assert found == [False, False, True]


def test_a_caller_hears_only_of_servers_that_have_something_for_it():
    mine = offer(None, PermissionSettings(servers=("web",), tools=("*",)))

    result = json.loads(mine.initialize_result(LATEST_HANDSHAKE))

    assert result["instructions"] == "# web\nw"
    assert offer("git", PermissionSettings(servers=("web",), tools=("*",))).is_empty
    assert not offer("web", PermissionSettings(servers=("web",), tools=("*",))).is_empty


def test_an_endpoint_is_there_for_one_who_may_read_what_its_server_does_not_list():
    assert not offer("git", PermissionSettings(resources=("git:open/*",))).is_empty
    assert offer("git", PermissionSettings(servers=("web",), resources=("git:open/*",))).is_empty
    assert offer("git", PermissionSettings(tools=("nono",))).is_empty
