"""What you hold in order to talk to the Audit."""

from typing import Any, Final

from actors.core.audit.batch import Batch, Receipt
from actors.refs.asking import ask

CLOSE_LIMIT: Final = 15.0
"""Seconds for what is still to be written and sent."""


class AuditRef:
    """How everyone talks to the Audit."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def write(self, batch: Batch) -> Receipt:
        """See `Audit.write`.

        Raises:
            ActorGone: nobody knows whether it is written; the same batch may be sent again.
        """
        receipt: Receipt = await ask(self._handle.write, batch)
        return receipt

    async def close(self) -> None:
        """See `Audit.close`.

        Raises:
            ActorGone: it is gone already.
        """
        await ask(self._handle.close, limit=CLOSE_LIMIT)
