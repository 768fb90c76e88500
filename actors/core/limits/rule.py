"""Whom a rate limit is about, and whose allowance each request takes from."""

from itertools import product
from typing import Final

from actors.core.caller import Caller
from actors.core.limit_settings import By, RateSettings
from actors.core.limits.admission import Policy
from actors.core.limits.lease import Key
from actors.core.policy.globs import matcher_of

ANY: Final = ("*",)


class Rule:
    """One rate limit. A limit by servers or tools is only about what goes to one."""

    def __init__(self, rate: RateSettings) -> None:
        self.rate = rate
        self.policy = Policy(rate)
        self._principals = matcher_of(rate.principals)
        self._roles = matcher_of(rate.roles)
        self._servers = matcher_of(rate.servers)
        self._tools = matcher_of(rate.tools)
        self._needs_tool = rate.tools != ANY or By.TOOL in rate.by
        self._needs_server = rate.servers != ANY or By.SERVER in rate.by

    def keys(self, caller: Caller, server: str, tool: str) -> tuple[Key, ...]:
        """The allowances that a request takes from; none if the limit is not about it, several if they go by role.

        `server` and `tool` are empty where there is none.
        """
        principal = caller.principal
        if (self._needs_tool and not tool) or (self._needs_server and not server):
            return ()
        if not (self._principals(principal.subject) and self._servers(server) and self._tools(tool)):
            return ()
        roles = tuple(role for role in principal.roles if self._roles(role))
        if not roles and self.rate.roles != ANY:
            return ()
        told = {
            By.GLOBAL: ("",),
            By.PRINCIPAL: (principal.key,),
            By.CLIENT: (principal.client or principal.key,),
            By.ROLE: roles or ("",),
            By.IP: (caller.ip,),
            By.SERVER: (server,),
            By.TOOL: (f"{server}\0{tool}",),
        }
        return tuple((self.rate.name, *parts) for parts in product(*(told[by] for by in self.rate.by)))
