"""`only1mcp policy explain`: what the policy of a configuration says to one question, and why."""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec
import platformdirs

from actors.core.policy.action import Action, ActionKind, Circumstances
from actors.core.policy.explanation import Explanation, Step
from actors.core.policy.policy import Policy
from actors.core.policy.roles import roles_of
from actors.core.principal import ANONYMOUS, Kind, Principal
from actors.core.settings import Settings
from serve_app.config import ConfigError, find, load
from serve_app.config.description import printable

DENIED: Final = 1
WRONG: Final = 2


def explain(
    chosen: argparse.Namespace,
    out: TextIO,
    errors: TextIO,
    environ: Mapping[str, str],
    clock: Callable[[], float] = time.time,
) -> int:
    """Answer the question of a command line, as `serve_app.cli.policy` reads it. Returns the exit code.

    `clock` gives Unix seconds.
    """
    path = find(chosen.config, Path.cwd(), Path(platformdirs.user_config_dir()))
    if path is None:
        errors.write("only1mcp: no configuration found; name one with --config\n")
        return WRONG
    try:
        settings = load(path, environ).settings
    except ConfigError as error:
        errors.write(f"{error}\n")
        return WRONG
    unknown = sorted(set(chosen.role) - set(settings.policy.all_roles if settings.policy else ()))
    if unknown:
        errors.write(f"only1mcp: the policy has no role {printable(unknown[0])}\n")
        return WRONG
    principal, action = _principal(chosen, settings), _action(chosen)
    circumstances = Circumstances(chosen.ip, clock() if chosen.at is None else chosen.at)
    explanation = Policy(settings.policy).explain(principal, circumstances, action)
    if chosen.json:
        out.write(f"{json.dumps(_page(explanation, action), indent=2, ensure_ascii=False)}\n")
    else:
        _show(explanation, principal, action, settings, out)
    return 0 if explanation.decision.allowed else DENIED


def _principal(chosen: argparse.Namespace, settings: Settings) -> Principal:
    asking = _recognised(chosen, settings)
    asking = msgspec.structs.replace(
        asking,
        scopes=(*asking.scopes, *chosen.scope),
        groups=(*asking.groups, *chosen.group),
        amr=tuple(chosen.amr),
        acr=chosen.acr,
        auth_time=chosen.auth_time,
    )
    assigned = roles_of(settings.policy, asking)
    return msgspec.structs.replace(asking, roles=tuple(sorted({*assigned, *chosen.role})))


def _recognised(chosen: argparse.Namespace, settings: Settings) -> Principal:
    auth = settings.auth
    if chosen.key is not None:
        known = next((each for each in auth.api_keys if each.name == chosen.key), None) if auth else None
        scopes, groups = (known.scopes, known.groups) if known else ((), ())
        return Principal(chosen.key, "", Kind.KEY, scopes, chosen.key, groups)
    if chosen.subject is None:
        return ANONYMOUS
    only = auth.issuers[0].issuer if auth is not None and len(auth.issuers) == 1 else ""
    issuer = only if chosen.issuer is None else chosen.issuer
    return Principal(chosen.subject, issuer, Kind.TOKEN, client=chosen.client)


def _action(chosen: argparse.Namespace) -> Action:
    annotations = dict(chosen.annotation)
    for kind in (ActionKind.TOOL, ActionKind.PROMPT, ActionKind.RESOURCE):
        target: tuple[str, str] | None = getattr(chosen, kind.value)
        if target is not None:
            server, name = target
            return Action(kind, server, name, annotations, chosen.arguments)
    if chosen.method is not None:
        return Action(ActionKind.METHOD, chosen.server, chosen.method)
    return Action(ActionKind.ADMIN, "", chosen.admin)


def _page(explanation: Explanation, action: Action) -> dict[str, Any]:
    return {
        "allowed": explanation.decision.allowed,
        "rule": explanation.decision.rule,
        "action": {"kind": action.kind.value, "server": action.server, "name": action.name},
        "roles": explanation.roles,
        "steps": [
            {
                "rule": step.rule,
                "role": step.role,
                "effect": _effect(step),
                "applies": step.applies,
                "reason": step.reason,
            }
            for step in explanation.steps
        ],
    }


def _show(explanation: Explanation, principal: Principal, action: Action, settings: Settings, out: TextIO) -> None:
    decision = explanation.decision
    target = f"{action.server}/{action.name}" if action.server else action.name
    lines = [
        f"{'allowed' if decision.allowed else 'denied'}: {action.kind.value} {target}"
        f" for {principal.subject} ({principal.kind.value})",
        f"rule: {decision.rule}",
    ]
    if settings.policy is not None:
        lines.append(f"roles: {', '.join(explanation.roles) or 'none'}")
    lines.extend(f"note: {note}" for note in _notes(principal, action, settings))
    if explanation.steps:
        lines.extend(["", *_columns(explanation.steps)])
    out.write("".join(f"{printable(line)}\n" for line in lines))


def _notes(principal: Principal, action: Action, settings: Settings) -> Iterator[str]:
    if settings.auth is not None and principal.kind is Kind.ANONYMOUS:
        yield "nobody comes in here without a credential"
    if action.server and action.server not in {backend.name for backend in settings.backends}:
        yield "no server of this name is configured"


def _columns(steps: tuple[Step, ...]) -> list[str]:
    rows = [("effect", "role", "permission", "because")]
    rows.extend((_effect(step), step.role, step.rule, step.reason) for step in steps)
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows]


def _effect(step: Step) -> str:
    return "deny" if step.deny else "allow"
