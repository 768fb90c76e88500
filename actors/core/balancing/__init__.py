"""Balancers: each receives a non-empty subset and returns a member of it."""
