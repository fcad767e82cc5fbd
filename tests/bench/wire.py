"""Bytes on the wire per record of a whole drain, counted by a TCP relay: both directions, TLS and HTTP/2 included."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from security.sealing import NEWEST_DICTIONARY, NO_DICTIONARY, DataKey
from tests.bench.drain import one_run
from tests.bench.figures import Figure
from tests.bench.prefilled import Saved, fill, prepare

# An estimate, added to what was counted: IPv4 and TCP headers of full segments. Acknowledgements ride on data.
HEADER_BYTES = 40
SEGMENT_BYTES = 1448


def wire(folder: Path, runs: int, count: int) -> dict[str, Figure]:
    """The same bodies with the dictionary that ships and compressed each for itself."""
    return {
        "wire_bytes": Figure(_wire(folder / "with", runs, count, NEWEST_DICTIONARY), "B/record"),
        "wire_bytes_without_dictionary": Figure(_wire(folder / "without", runs, count, NO_DICTIONARY), "B/record"),
    }


def _wire(folder: Path, runs: int, count: int, dictionary: int) -> float:
    hub, machine = prepare(folder)
    machine.connect_to(machine.line.port)
    with _sealing_with(dictionary):
        fill(machine, count)
    saved = Saved(folder, hub, machine)
    counted = []
    for _ in range(runs):
        saved.restore()
        before = machine.line.bytes_relayed
        one_run(hub, machine, count)
        counted.append((machine.line.bytes_relayed - before) / count)
    return statistics.median(counted) * (1 + HEADER_BYTES / SEGMENT_BYTES)


@contextmanager
def _sealing_with(dictionary: int) -> Iterator[None]:
    defaults = DataKey.__init__.__kwdefaults__
    shipped = defaults["dictionary"]
    defaults["dictionary"] = dictionary
    try:
        yield
    finally:
        defaults["dictionary"] = shipped
