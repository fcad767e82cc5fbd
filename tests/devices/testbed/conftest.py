"""These tests need umockdev's preload library: tests/devices/test_under_umockdev.py runs them in a process that has it."""

from tests.devices.testbed.machine import preloaded

collect_ignore_glob = [] if preloaded() else ["test_*.py"]
