"""The parts of a machine's file as what the ledger takes: journals, runs of records that follow each other, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from security.bundle.entries import Entry, Journal, Range
from security.bundle.missing import Missing
from security.bundle.parts import Part
from security.chain import next_digest
from security.run import Run

RUN_MAX_RECORDS = 1_000
RUN_MAX_BYTES = 1024 * 1024  # of payloads, or one record


def deliveries(parts: Iterable[Part]) -> Iterator[Journal | Run | Missing]:
    """In the order of the file; its parts were checked."""
    open_run = _OpenRun(1, b"")
    for part in parts:
        match part:
            case Entry():
                if open_run.full(part):
                    yield open_run.run()
                    open_run = _OpenRun(part.position, open_run.digest)
                open_run.add(part)
            case Journal() | Missing() | Range():
                yield from open_run.runs()
                if not isinstance(part, Range):
                    yield part
                open_run = _behind(part)
    yield from open_run.runs()


def _behind(part: Journal | Missing | Range) -> _OpenRun:
    match part:
        case Range():
            return _OpenRun(part.first, part.previous)
        case Missing():
            return _OpenRun(part.last + 1, part.records[-1].digest or b"")  # a range follows where it is not known
        case Journal():
            return _OpenRun(1, part.genesis.digest())


class _OpenRun:
    def __init__(self, first: int, previous: bytes) -> None:
        self._first = first
        self._previous = self.digest = previous
        self._payloads: list[bytes] = []
        self._signatures: list[bytes] = []
        self._size_bytes = 0

    def full(self, entry: Entry) -> bool:
        """Whether this one does not fit any more."""
        many = len(self._payloads) >= RUN_MAX_RECORDS or self._size_bytes + len(entry.payload) > RUN_MAX_BYTES
        return many and bool(self._payloads)

    def add(self, entry: Entry) -> None:
        self.digest = next_digest(self.digest, entry.payload)
        self._payloads.append(entry.payload)
        self._signatures.append(entry.signature)
        self._size_bytes += len(entry.payload)

    def run(self) -> Run:
        return Run(self._first, self._previous, self._payloads, self._signatures)

    def runs(self) -> Iterator[Run]:
        """None when it is empty."""
        if self._payloads:
            yield self.run()
