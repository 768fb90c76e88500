"""A replica's desk for consents: users let the gateway act for them at its server, or take that back."""

from typing import Final

from actors.conversations import Conversations
from actors.core.consent import FOR_LISTS, ConsentBegun, giver_of
from actors.core.tokens.issued import Declined, No
from actors.credentials.consents import Consents
from actors.supervisor import Supervisor

NO_CONSENTS: Final = "callers of this server have no credentials of their own there (`auth: {kind: user}`)"


class ConsentDesk:
    """Of one replica of a backend. Works while the server is down."""

    def __init__(self, consents: Consents | None, supervisor: Supervisor, conversations: Conversations) -> None:
        """`consents` are there where users have credentials of their own; elsewhere everything is declined.

        The supervisor hears that the lists can be read now, the conversations whose are to end.
        """
        self._consents = consents
        self._supervisor = supervisor
        self._conversations = conversations

    async def begin(self, principal: str, redirect_uri: str, document_url: str) -> ConsentBegun | Declined:
        """Where the browser of a principal (`Principal.key`) goes so that they let the gateway act for them.

        The empty principal is the operator, in whose name the lists are read. `redirect_uri` is where the browser comes
        back to, https or on the user's own machine; `document_url` is where the gateway publishes what it says of
        itself as a client (`client_document`) with this way back in it, if it does.
        """
        if self._consents is None:
            return Declined(No.WRONG, NO_CONSENTS)
        return await self._consents.begin(giver_of(principal), redirect_uri, document_url)

    async def finish(self, principal: str, state: str, code: str, issuer: str) -> str:
        """Redeem the code that came back, and keep the tokens for this principal; why not, or nothing.

        `state` is the one that came back, which the caller has compared with the one of the same browser; `issuer` is
        the `iss` of the answer, empty if there is none. Calls of the principal go through at once.
        """
        if self._consents is None:
            return NO_CONSENTS
        fault = await self._consents.finish(giver_of(principal), state, code, issuer)
        if not fault:
            self.heed(principal)
        return fault

    def heed(self, principal: str) -> None:
        """Another replica has finished it: what waited for that goes on."""
        if giver_of(principal) == FOR_LISTS:
            self._supervisor.hurry()

    async def drop(self, principal: str) -> str:
        """Let go of the tokens of a principal, here and at the authorization server, and close their conversation; why
        not, or nothing.

        Safe to repeat. Other replicas notice within `LOOK_SECONDS`, or at once if they are told the same.
        """
        if self._consents is None:
            return NO_CONSENTS
        fault = await self._consents.drop(giver_of(principal))
        self._conversations.end_principal(principal)
        return fault

    async def has(self, principal: str) -> bool:
        """Whether this principal lets the gateway act for them, as far as is known here.

        Raises:
            CredentialError: the Vault does not answer.
        """
        return self._consents is not None and await self._consents.has(giver_of(principal))
