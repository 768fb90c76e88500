"""What a policy decides, compared with an oracle; and what it always or never does."""

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.core.policy.action import Action, ActionKind, Circumstances
from actors.core.policy.policy import Policy
from actors.core.policy.roles import closure
from actors.core.policy_settings import PolicySettings, RoleSettings
from actors.core.principal import Principal
from tests.support.policies import ROLES, Deal, with_role
from tests.support.policy_oracle import Oracle

DEALS = st.integers(0, 2**32).map(Random).map(Deal)
Question = tuple[Principal, Circumstances, Action]


def allowed(policy: PolicySettings, question: Question) -> bool:
    principal, where, action = question
    return Policy(policy).stance(principal, where).decide(action).allowed


def questions(deal: Deal, number: int = 20) -> list[Question]:
    return [deal.question() for _ in range(number)]


@settings(deadline=None)
@given(DEALS)
def test_a_policy_allows_just_what_an_independent_reading_of_it_allows(deal: Deal) -> None:
    settings = deal.policy()
    policy, oracle = Policy(settings), Oracle(settings)

    for principal, where, action in questions(deal, 50):
        assert policy.stance(principal, where).decide(action).allowed == oracle.allows(principal, where, action)


@settings(deadline=None)
@given(DEALS)
def test_an_explanation_says_what_is_decided_and_its_first_rule_that_applies_is_the_one(deal: Deal) -> None:
    policy = Policy(deal.policy())

    for principal, where, action in questions(deal):
        explained = policy.explain(principal, where, action)
        assert explained.decision == policy.stance(principal, where).decide(action)
        first = next((step for step in explained.steps if step.applies), None)
        if first is not None:
            assert (first.rule, not first.deny) == (explained.decision.rule, explained.decision.allowed)
        elif explained.steps:
            assert not explained.decision.allowed


@settings(deadline=None)
@given(DEALS)
def test_stances_that_are_equal_decide_and_show_alike(deal: Deal) -> None:
    policy, action = Policy(deal.policy()), deal.action()
    seen: dict[object, object] = {}

    for principal, where, _ in questions(deal):
        stance = policy.stance(principal, where)
        said = (stance.decide(action), stance.may_show(action), stance.wants_arguments(action))
        assert seen.setdefault(stance, said) == said


@settings(deadline=None)
@given(DEALS)
def test_what_is_allowed_is_always_shown_and_what_is_shown_could_be_allowed(deal: Deal) -> None:
    policy = Policy(deal.policy())

    for principal, where, action in questions(deal):
        stance = policy.stance(principal, where)
        if stance.decide(action).allowed:
            assert stance.may_show(action)
        elif stance.may_show(action):
            assert stance.wants_arguments(action)


@settings(deadline=None)
@given(DEALS)
def test_without_a_rule_that_matches_nothing_is_ever_allowed(deal: Deal) -> None:
    settings = deal.policy()
    silent = replace(settings, roles={name: replace(role, allow=()) for name, role in settings.roles.items()})
    policy = Policy(with_role(silent, "viewer", RoleSettings()))
    decided = ("completion/complete", "vendor/thing")

    for principal, where, action in questions(deal):
        needs_none = action.kind is ActionKind.METHOD and action.name not in decided
        assert policy.stance(principal, where).decide(action).allowed is needs_none


@settings(deadline=None)
@given(DEALS, st.sampled_from(ROLES[:-1]))
def test_one_more_denial_never_allows_more(deal: Deal, name: str) -> None:
    settings = deal.policy()
    role = settings.roles[name]
    before = Policy(settings)
    after = Policy(with_role(settings, name, replace(role, deny=(*role.deny, deal.permission()))))

    for principal, where, action in questions(deal):
        allowed = before.stance(principal, where).decide(action).allowed
        assert after.stance(principal, where).decide(action).allowed <= allowed


@settings(deadline=None)
@given(DEALS, st.sampled_from(ROLES))
def test_one_more_role_never_takes_away_unless_it_denies(deal: Deal, name: str) -> None:
    settings = deal.policy()
    policy = Policy(settings)
    denies = any(settings.all_roles[each].deny for each in closure(settings.all_roles, [name]))

    for principal, where, action in questions(deal):
        richer = msgspec.structs.replace(principal, roles=(*principal.roles, name))
        before = policy.stance(principal, where).decide(action).allowed
        assert denies or before <= policy.stance(richer, where).decide(action).allowed


@settings(deadline=None)
@given(DEALS)
def test_the_order_of_roles_and_of_inheritance_does_not_matter(deal: Deal) -> None:
    def shuffled(names: Iterable[str]) -> tuple[str, ...]:
        return deal.some(names := tuple(names), len(names), len(names))

    settings = deal.policy()
    roles = {name: settings.roles[name] for name in shuffled(settings.roles)}
    roles = {name: replace(role, inherits=shuffled(role.inherits)) for name, role in roles.items()}
    policy, other = Policy(settings), Policy(replace(settings, roles=roles))

    for principal, where, action in questions(deal):
        turned = msgspec.structs.replace(principal, roles=shuffled(principal.roles))
        assert other.stance(turned, where).decide(action) == policy.stance(principal, where).decide(action)
