"""The classes of actors, each with what it is given in a process of its own."""

import functools
import itertools
import os
import random
import threading
import time
import uuid
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import ray
import structlog
from ray.exceptions import RayError

from actors import logs
from actors.audit import Audit, Sink
from actors.audit_file import AuditFile
from actors.backend import Backend
from actors.bus.keychain import Keychain
from actors.connect import connections
from actors.core.audit_settings import AuditSettings
from actors.core.auth_settings import AuthSettings
from actors.core.backoff import Backoff
from actors.core.identity import VERSION
from actors.core.membership import ReplicaKey
from actors.core.needs import of_replica
from actors.core.settings import BackendSettings, Naming, ServerSettings
from actors.core.tokens.own_issuer import OwnIssuer
from actors.credentials.keeper import KeptCredentials
from actors.credentials.stated import StatedSubjects
from actors.diary import diary_of
from actors.garbage import calm_collector
from actors.host import BackendHost, Holding
from actors.memory import Memory
from actors.metrics import Metrics
from actors.otlp import Otlp
from actors.refs.gone import ActorGone
from actors.refs.router import RouterRef
from actors.router import Router
from actors.runtime.cluster import listening_addresses, own_zone
from actors.runtime.find import AUDIT, METRICS, find_actor, find_audit, find_metrics, find_router, find_vault
from actors.store import open_store
from actors.syslog import Syslog
from actors.vault import Vault
from actors.vault_file import open_vault

BEGIN_BACKOFF: Final = Backoff(first=0.5, factor=2.0, cap=3.0)
"""Before an actor that could not begin tries again: soon, for most likely the Router is being started, too."""

log = structlog.get_logger()


class RouterActor(Router):
    """The Router in its own process."""

    def __init__(
        self,
        naming: Naming,
        log_format: str,
        server: ServerSettings,
        state_file: Path | None,
        audit: AuditSettings | None,
        audit_key: bytes,
    ) -> None:
        logs.configure(log_format)
        memory = Memory(open_store(state_file))
        generation = uuid.uuid4().hex
        super().__init__(
            None,
            naming,
            generation=generation,
            metrics=find_metrics(),
            server=server,
            memory=memory,
            diary=diary_of(audit, audit_key, generation, find_audit),
        )


class MetricsActor(Metrics):
    """Metrics in its own process."""

    def __init__(self, log_format: str) -> None:
        logs.configure(log_format)
        super().__init__(version=VERSION)

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return METRICS


class AuditActor(Audit):
    """The Audit in its own process."""

    def __init__(self, settings: AuditSettings, path: Path, log_format: str) -> None:
        logs.configure(log_format)
        clock = functools.partial(datetime.now, UTC)
        file = AuditFile(path, max_bytes=settings.max_bytes, keep_files=settings.keep_files, clock=clock)
        sinks: list[Sink] = [] if settings.syslog is None else [Syslog(settings.syslog)]
        if settings.otlp_url is not None:
            sinks.append(Otlp(settings.otlp_url, os.environ))
        super().__init__(file, sinks, settings.sync)

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return AUDIT


class VaultActor(Vault):
    """The Vault in its own process."""

    def __init__(
        self, auth: AuthSettings | None, own: OwnIssuer, secret: bytes, path: Path | None, log_format: str
    ) -> None:
        logs.configure(log_format)
        open_file = functools.partial(open_vault, path)
        super().__init__(auth, own, secret, open_file, find_router, generation=uuid.uuid4().hex)


class BackendActor(BackendHost):
    """A process of Backends. It begins by itself what it shall hold: after a restart nobody else would tell it to."""

    def __init__(self, name: str, holding: Holding | None, log_format: str, *, spread: bool) -> None:
        """`holding` is the only one it will hold; without, it holds what others tell it, and the Router remembers."""
        self._name = name  # first of all: Ray asks an actor whose construction fails for its name, too
        self._only = holding
        logs.configure(log_format)
        super().__init__(functools.partial(_backend, keys=Keychain(), router=find_router(), spread=spread))
        calm_collector()
        if holding is not None or _is_second_life():
            threading.Thread(target=_begin, args=(name,), name="begin", daemon=True).start()

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return self._name

    async def begin_all(self) -> None:
        """See `BackendHost.recover`."""
        await self.recover(self._holdings)

    async def _holdings(self) -> Sequence[Holding]:
        return (self._only,) if self._only is not None else await find_router().holdings(self._name)


def _is_second_life() -> bool:
    """Whether Ray has started this actor again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own code uses there what Ray calls deprecated
        return bool(ray.get_runtime_context().was_current_actor_reconstructed)


def _backend(
    key: ReplicaKey, settings: BackendSettings, slot: int, *, keys: Keychain, router: RouterRef, spread: bool
) -> Backend:
    made, weight = of_replica(settings, slot)
    ways = connections(made, StatedSubjects(find_vault), KeptCredentials(find_vault))
    return Backend(
        made,
        key,
        epoch=uuid.uuid4().hex,
        node=ray.get_runtime_context().get_node_id(),
        keys=keys,
        addresses=listening_addresses(spread=spread),
        router=router,
        connect=ways.connect,
        connect_as=ways.connect_as,
        consents=ways.consents,
        dice=random.SystemRandom().random,
        weight=weight,
        zone=own_zone(),
    )


def _begin(name: str) -> None:
    """Tell the actor of this process to begin, as soon as Ray lets it be called.

    From a thread, because Ray loses what the constructor of a restarted actor says to its own actor.
    """
    for attempt in itertools.count():
        try:
            find_actor(name).begin_all.remote().future().result()
        except (RayError, ActorGone) as error:
            log.warning("backend_not_begun", actor=name, reason=type(error).__name__)
            time.sleep(BEGIN_BACKOFF.delay(attempt, random.SystemRandom().random()))
        else:
            return
