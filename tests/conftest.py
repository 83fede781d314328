"""Shared settings: property tests draw the same examples on every run, so that a green run stays green."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
