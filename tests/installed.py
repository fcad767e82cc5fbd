"""What a test needs of this machine. Root may install what is missing, so for root nothing is left out."""

from __future__ import annotations

import importlib
import os
import shutil

import pytest


def needs(packages: str, *, there: bool) -> None:
    """For the test, or the module, that calls it."""
    if not there:
        assert os.geteuid() != 0, f"install what is missing: apt-get install {packages}"
        pytest.skip(f"not installed: {packages}", allow_module_level=True)


def needs_program(program: str, package: str) -> None:
    needs(package, there=shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None)


def needs_pyscard() -> None:
    """`make setup` leaves it out where it cannot be built."""
    try:
        importlib.import_module("smartcard.scard")
    except ImportError:
        needs("gcc libc6-dev python3-dev libpcsclite-dev, then make setup", there=False)
