"""A real hub and a real machine, as in the acceptance tests."""

from tests.acceptance.conftest import enrolled, founded, hub, machine

__all__ = ["enrolled", "founded", "hub", "machine"]
