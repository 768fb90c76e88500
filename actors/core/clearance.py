"""What of an endpoint's offer a stance allows: the entries to show, and the requests to send on."""

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.catalogue import Catalogue, Entry
from actors.core.jsonrpc import Object
from actors.core.listing import Kind
from actors.core.naming import Owned
from actors.core.policy.action import Action, ActionKind, kind_of
from actors.core.policy.annotations import annotations_of
from actors.core.policy.stance import NEEDS_NONE, Decision, Stance
from actors.core.view import View

_KINDS: Final = {
    Kind.TOOLS: ActionKind.TOOL,
    Kind.PROMPTS: ActionKind.PROMPT,
    Kind.RESOURCES: ActionKind.RESOURCE,
    Kind.TEMPLATES: ActionKind.RESOURCE,
}

_REFERENCES: Final = {"ref/prompt": ActionKind.PROMPT, "ref/resource": ActionKind.RESOURCE}

FREE: Final = Decision(True, NEEDS_NONE)

MAX_KNOWN: Final = 1024
"""Decisions that are remembered: on the endpoint of one server clients may name what they like."""

MAX_NAME: Final = 512
"""Characters of a name or URI about which a decision is remembered."""


def visible(catalogue: Catalogue, stance: Stance) -> Catalogue:
    """The entries that the caller may use, or may with some arguments."""

    def shown(kind: Kind) -> Mapping[str, Entry]:
        entries = catalogue.of(kind).items()
        return {identity: entry for identity, entry in entries if stance.may_show(_action_of(kind, entry))}

    return Catalogue(shown(Kind.TOOLS), shown(Kind.RESOURCES), shown(Kind.TEMPLATES), shown(Kind.PROMPTS))


class Clearance:
    """What a stance decides about the requests of one View, each remembered where it does not depend on arguments."""

    def __init__(self, stance: Stance, view: View) -> None:
        self._stance = stance
        self._view = view
        self._known: dict[tuple[str, str, str], Decision] = {}

    def __len__(self) -> int:
        return len(self._known)

    def decide(self, method: str, owned: Owned, params: Object) -> Decision:
        """Whether a request may go to its backend, whose own name or URI `owned` has."""
        known = self._known.get((method, owned.backend, owned.name))
        if known is not None:
            return known
        kind = kind_of(method)
        if kind is None:
            return FREE
        if kind is ActionKind.METHOD:
            return self._decide_method(method, owned, params)
        action = _request(kind, self._view, owned, params)
        decision = self._stance.decide(action)
        if len(owned.name) <= MAX_NAME and not self._stance.wants_arguments(action):
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[method, owned.backend, owned.name] = decision
        return decision

    def _decide_method(self, method: str, owned: Owned, params: Object) -> Decision:
        decision = self._stance.decide(Action(ActionKind.METHOD, owned.backend, method))
        reference = _reference(params) if decision.allowed else None
        return decision if reference is None else self._stance.decide(Action(reference, owned.backend, owned.name))


def _action_of(kind: Kind, entry: Entry) -> Action:
    annotations = annotations_of(entry.body) if kind is Kind.TOOLS else {}
    return Action(_KINDS[kind], entry.backend, entry.upstream, annotations)


def _request(kind: ActionKind, view: View, owned: Owned, params: Object) -> Action:
    annotations: Mapping[str, bool] = {}
    backend = view.backends.get(owned.backend)
    if kind is ActionKind.TOOL and backend is not None:
        entry = backend.catalogue.tools.get(owned.name)
        annotations = {} if entry is None else annotations_of(entry.body)
    return Action(kind, owned.backend, owned.name, annotations, lambda: jsonrpc.unambiguous(params.get("arguments")))


def _reference(params: Object) -> ActionKind | None:
    """What `completion/complete` is about; nothing for other methods."""
    if "ref" not in params:
        return None
    try:
        return _REFERENCES[jsonrpc.unambiguous(params["ref"])["type"]]
    except (msgspec.DecodeError, LookupError, TypeError):
        return ActionKind.ADMIN  # whatever it is about, it is nothing that a server has
