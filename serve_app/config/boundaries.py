"""What a configuration says of who may do how much, and what is remembered of it, in lines for a terminal."""

from collections.abc import Iterable, Iterator
from typing import Final

from actors.core.audit_settings import AuditSettings, OnFailure
from actors.core.limit_settings import HELD, By, LimitSettings, QuotaSettings, RateSettings
from actors.core.policy_settings import PolicySettings
from actors.core.settings import Settings
from serve_app.audit_place import audit_path

ALL: Final = ("*",)

_HELD: Final = {"calls": "call", "sessions": "session", "streams": "stream", "websockets": "WebSocket"}


def boundaries(settings: Settings) -> Iterator[str]:
    """The lines of the policy, of each rate limit and quota, and of the audit; of what there is not, none."""
    if settings.policy is not None:
        yield f"policy: {_policy(settings.policy)}"
    yield from _limits(settings.limits, settings.server.replicas)
    if settings.audit is not None:
        yield f"audit: {_audit(settings.audit)}"


def _policy(policy: PolicySettings) -> str:
    own = f" ({', '.join(policy.roles)})" if policy.roles else ""
    built_in = len(policy.all_roles) - len(policy.roles)
    given = {assignment.role for assignment in policy.assignments}
    open_to_all = sorted({assignment.role for assignment in policy.assignments if assignment.everyone})
    parts = [
        f"{counted(len(policy.roles), 'role')}{own} and {built_in} built in",
        f"{counted(len(policy.assignments), 'assignment')} of {', '.join(sorted(given))}",
        *([f"everyone is {' and '.join(open_to_all)}"] if open_to_all else []),
    ]
    return "; ".join(parts)


def _limits(limits: LimitSettings, replicas: int) -> Iterator[str]:
    for rate in limits.rates:
        yield f"limit {rate.name}: {_rate(rate)}"
    for quota in limits.quotas:
        yield f"quota: {_quota(quota, replicas)}"


def _rate(rate: RateSettings) -> str:
    burst = "" if rate.burst is None else f", up to {rate.burst} at once"
    apart = "for everyone together" if rate.by == (By.GLOBAL,) else f"for each {' and '.join(rate.by)}"
    said = {"principals": rate.principals, "roles": rate.roles, "servers": rate.servers, "tools": rate.tools}
    return f"{counted(rate.calls, 'call')} in {rate.seconds:g} s{burst}, {apart}{_about(said.items())}"


def _quota(quota: QuotaSettings, replicas: int) -> str:
    held = {name: getattr(quota, name) for name in HELD if getattr(quota, name) is not None}
    most = [counted(number, _HELD[name]) for name, number in held.items()]
    about = _about({"principals": quota.principals, "roles": quota.roles}.items())
    note = f"; calls in shares of {replicas} ingress replicas" if replicas > 1 and "calls" in held else ""
    return f"at most {', '.join(most)} of a principal at the same time{about}{note}"


def _about(said: Iterable[tuple[str, tuple[str, ...]]]) -> str:
    """Whom or what it is about, where that is not everything."""
    return "".join(f", of {name} {' '.join(globs)}" for name, globs in said if globs != ALL)


def _audit(audit: AuditSettings) -> str:
    fate = "are refused" if audit.on_failure is OnFailure.REFUSE else "go on"
    besides = [
        *([] if audit.syslog is None else [f"syslog {audit.syslog}"]),
        *([] if audit.otlp_url is None else ["OTLP"]),
    ]
    parts = [
        f"{audit_path(audit)}, arguments: {audit.arguments.value}",
        f"calls {fate} while it cannot be written",
        *([f"also sent to {' and '.join(besides)}"] if besides else []),
    ]
    return "; ".join(parts)


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
