"""Who the gateway says it is, to clients and to servers, and what it can do for servers."""

from typing import Final

VERSION: Final = "0.1.0"
GATEWAY_INFO: Final = {"name": "only1mcp", "version": VERSION}

BRIDGED_CAPABILITIES: Final = b'{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{},"context":{}},"roots":{}}'
"""What clients can be asked through us, as a client declares it. A server of the handshake era hears it once for all
callers; a question that its caller cannot be asked is refused when it comes."""
