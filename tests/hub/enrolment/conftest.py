"""A real hub and a real machine, as in the acceptance tests."""

from tests.acceptance.conftest import hub, machine

__all__ = ["hub", "machine"]
