"""The login of a person at a gateway, from their machine: the browser, the tokens of it, and their renewal."""
