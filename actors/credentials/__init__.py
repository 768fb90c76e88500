"""How the gateway proves itself to a server: tokens, where they come from, and who gets which.

A caller's own token is never sent to a server. What is exchanged for a token of a caller is a statement that the
gateway signs itself, for the service that exchanges and for nobody else.
"""
