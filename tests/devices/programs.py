"""Programs that a driver has started and not ended."""

from __future__ import annotations

import psutil


def programs() -> list[psutil.Process]:
    """Children of the tests, but for the card service that serves them all."""
    return [one for one in psutil.Process().children() if one.name() != "pcscd"]
