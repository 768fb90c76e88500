"""An oracle that decides what a policy says, written without what it is compared with.

Of addresses and schemas it knows those in `tests.support.policies` only.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from actors.core.permission_settings import MfaSettings, PermissionSettings, WindowSettings
from actors.core.policy.action import Action, ActionKind, Circumstances
from actors.core.policy_settings import PolicySettings
from actors.core.principal import Principal

_SCHEMAS = (
    ({"required": ["path"]}, lambda given: isinstance(given, dict) and "path" in given),
    ({"maxProperties": 0}, lambda given: given == {}),
    ({"properties": {"n": {"minimum": 3}}}, lambda given: not isinstance(given, dict) or given.get("n", 9) >= 3),
)


class Oracle:
    """Decides by going through everything that is written, each time anew."""

    def __init__(self, settings: PolicySettings) -> None:
        self._settings = settings

    def allows(self, principal: Principal, where: Circumstances, action: Action) -> bool:
        if action.kind is ActionKind.METHOD and action.name in ("ping", "tools/list", "notifications/cancelled"):
            return True
        roles = [self._settings.all_roles[name] for name in self._reached(principal.roles)]
        denied = any(_meant(each, principal, where, action, doubt=True) for role in roles for each in role.deny)
        allowed = any(_meant(each, principal, where, action, doubt=False) for role in roles for each in role.allow)
        return allowed and not denied

    def _reached(self, names: tuple[str, ...]) -> Iterator[str]:
        for name in names:
            if name in self._settings.all_roles:
                yield name
                yield from self._reached(self._settings.all_roles[name].inherits)


def _meant(
    each: PermissionSettings, principal: Principal, where: Circumstances, action: Action, *, doubt: bool
) -> bool:
    entries = getattr(each, "admin" if action.kind is ActionKind.ADMIN else f"{action.kind.value}s")
    if not any(fits(glob, action.name) for glob in entries):
        return False
    if action.kind is not ActionKind.ADMIN and not any(fits(glob, action.server) for glob in each.servers):
        return False
    when = each.when
    if when is None:
        return True
    return all(
        (
            not when.networks or _inside(when.networks, where.ip, doubt=doubt),
            not when.windows or any(open_at(window, where.now) for window in when.windows),
            when.mfa is None or _proven(when.mfa, principal, where.now),
            all(_hint(action.annotations, name) == wanted for name, wanted in when.annotations.items()),
            when.arguments is None or _fitting(when.arguments, action, doubt=doubt),
        )
    )


def fits(glob: str, text: str) -> bool:
    """By trying everything a star can be."""
    if not glob:
        return not text
    if glob[0] == "*":
        return any(fits(glob[1:], text[skipped:]) for skipped in range(len(text) + 1))
    return bool(text) and glob[0] in ("?", text[0]) and fits(glob[1:], text[1:])


_BITS = {
    "10.1.2.3": ("4", 0x0A010203),
    "10.9.9.9": ("4", 0x0A090909),
    "::ffff:10.1.2.3": ("4", 0x0A010203),
    "192.168.7.130": ("4", 0xC0A80782),
    "172.16.1.1": ("4", 0xAC100101),
    "fd00::1": ("6", 0xFD << 120 | 1),
    "8.8.8.8": ("4", 0x08080808),
}
_SPANS = {
    "10.0.0.0/8": ("4", 0x0A000000, 0x0AFFFFFF),
    "10.1.2.3": ("4", 0x0A010203, 0x0A010203),
    "192.168.7.0/25": ("4", 0xC0A80700, 0xC0A8077F),
    "::ffff:172.16.0.0/108": ("4", 0xAC100000, 0xAC1FFFFF),
    "fd00::/8": ("6", 0xFD << 120, (0xFE << 120) - 1),
    "::/0": ("6", 0, (1 << 128) - 1),
}


def _inside(networks: tuple[str, ...], ip: str, *, doubt: bool) -> bool:
    if ip not in _BITS:
        return doubt
    version, number = _BITS[ip]
    return any(kind == version and first <= number <= last for kind, first, last in (_SPANS[text] for text in networks))


def open_at(window: WindowSettings, now: float) -> bool:
    """By laying the window of yesterday, and that of today, on the clock of its zone."""
    wall = datetime.fromtimestamp(now, ZoneInfo(window.zone)).replace(tzinfo=None)
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    for back in (0, 1, 2):
        day = midnight - timedelta(days=back)
        start, until = (day + timedelta(hours=int(at[:2]), minutes=int(at[3:])) for at in (window.start, window.until))
        until += timedelta(days=until <= start)
        if day.strftime("%a").lower() in window.days and start <= wall < until:
            return True
    return False


def _proven(mfa: MfaSettings, principal: Principal, now: float) -> bool:
    method = not mfa.amr or any(each in mfa.amr for each in principal.amr)
    level = not mfa.acr or principal.acr in mfa.acr
    age = float("inf") if principal.auth_time is None else now - principal.auth_time
    return method and level and (mfa.max_age is None or -60 <= age <= mfa.max_age)


def _hint(given: Mapping[str, bool], name: str) -> bool:
    if name in given:
        return given[name]
    return name == "destructiveHint" and not given.get("readOnlyHint", False)


def _fitting(schema: Mapping[str, object], action: Action, *, doubt: bool) -> bool:
    if action.arguments is None:
        return doubt
    return next(judge for known, judge in _SCHEMAS if known == schema)(action.arguments())
