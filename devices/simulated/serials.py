"""Serials of simulated readers."""

import zlib


def made_up(name: str) -> str:
    """The serial of the simulated reader that was never given another one: the same at every start."""
    return f"SIM{zlib.crc32(name.encode()):08X}"
