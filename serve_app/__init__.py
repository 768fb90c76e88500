"""The door of the gateway: HTTP, authentication, configuration and the command line."""
