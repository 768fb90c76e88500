"""Who the gateway says it is, to clients and to servers."""

from typing import Final

VERSION: Final = "0.1.0"
GATEWAY_INFO: Final = {"name": "only1mcp", "version": VERSION}
