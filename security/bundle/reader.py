"""Reads a bundle line by line, and gives each part once it is proved by what came before it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from security import strict_base64
from security.bundle.check import BundleCheck, Trust
from security.bundle.header import Header
from security.bundle.lines import LINE_MAX_BYTES, SIGNATURE_KIND, BadLine, LineSums, decoded, kind_of
from security.bundle.parts import Part, part_of
from security.bundle.report import BundleRefused, Report
from security.bundle.unproved import Unproved

PROGRESS_EVERY = 10_000


class BundleReader:
    """`with BundleReader(path) as reader`, then `parts` once. Synchronous; holds one line at a time. Raises OSError."""

    def __init__(self, path: Path, trust: Trust | None = None) -> None:
        self._path = path
        self._trust = trust or Trust()
        self._sums = LineSums()
        self._hash = hashlib.sha256()
        self._check: BundleCheck | None = None
        self._number = 0
        self._signed = False
        self._refusal: BundleRefused | None = None

    def __enter__(self) -> BundleReader:
        self._file = self._path.open("rb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._file.close()

    def parts(self) -> Iterator[Part]:
        """Each one checked. Raises BundleRefused at the first that is not proved, and behind the last one when the signature over
        the whole does not hold: do nothing for good before the end.
        """
        line = self._line()
        try:
            while following := self._line():
                part = self._taken(line)
                yield part
                line = following
            self._end(line)
        except BundleRefused as error:
            self._refusal = error
            self._signed = self._check is not None and self._whole(self._check)
            raise

    def report(self) -> Report:
        """Of what was read."""
        check = self._check
        if check is None:
            return Report(self._trust, None, None, None, (), (), 0, False, self._refusal)
        return Report(self._trust, check.header, check.exporter, check.log.checkpoint, check.log.epochs, check.journals(),
                      check.entries, self._signed, self._refusal)

    def _line(self) -> bytes:
        """b"" at the end; at most one byte longer than it may be."""
        return self._file.readline(LINE_MAX_BYTES + 1)

    def _taken(self, line: bytes) -> Part:
        self._hash.update(line)
        self._number += 1
        kind = kind_of(line)
        if kind == SIGNATURE_KIND and self._check is not None:
            raise self._refused("signature", "something stands behind it: files were joined, or something was added; get the "
                                "bundle again")
        try:
            part = part_of(*self._sums.opened(line))
            self._take(part)
        except BadLine as error:
            raise self._refused(self._check.subject(kind) if self._check else "header", error) from error
        except Unproved as error:
            raise self._refused(self._check.subject_of(error, kind) if self._check else "header", error) from error
        return part

    def _take(self, part: Part) -> None:
        if self._check is not None:
            self._check.take(part)
        elif isinstance(part, Header):
            self._check = BundleCheck(part, self._trust)
        else:
            raise BadLine("a bundle begins with its header; get the bundle again from whoever exported it")

    def _end(self, line: bytes) -> None:
        self._number += 1
        check = self._check
        if check is None:
            raise self._refused("header", "it is no bundle, or not a whole one; get it again from whoever exported it")
        try:
            check.end()
        except Unproved as error:
            raise self._refused(check.subject_of(error, ""), error) from error
        self._signed = _holds(check, self._hash.digest(), line)
        if kind_of(line) != SIGNATURE_KIND:
            raise self._refused("signature", "the bundle ends without one and is not whole; get it again")
        if not self._signed:
            raise self._refused("signature", "the exporter has not signed this file as it is: its header, the keys in it or "
                                "something else was changed; get the bundle again from whoever exported it")

    def _whole(self, check: BundleCheck) -> bool:
        """Whether the file is, to its last byte, what its exporter signed; it is read once more."""
        self._file.seek(0)
        before, last = hashlib.sha256(), b""
        for line in iter(self._line, b""):
            before.update(last)
            last = line
        return _holds(check, before.digest(), last)

    def _refused(self, subject: str, reason: object) -> BundleRefused:
        return BundleRefused(self._number, subject, str(reason))


def verify_bundle(path: Path, trust: Trust | None = None, progress: Callable[[int], None] = lambda _: None) -> Report:
    """Reads it to its end; `progress` hears now and then how many parts were checked. Raises OSError; what is not proved is in
    the report.
    """
    with BundleReader(path, trust) as reader:
        try:
            for number, _ in enumerate(reader.parts(), 1):
                if number % PROGRESS_EVERY == 0:
                    progress(number)
        except BundleRefused:
            pass
        return reader.report()


def _holds(check: BundleCheck, digest: bytes, line: bytes) -> bool:
    """Whether a line is the exporter's signature over what has this digest."""
    try:
        kind, encoded = decoded(line.removesuffix(b"\n"))
        signature = strict_base64.decode(encoded) if kind == SIGNATURE_KIND and isinstance(encoded, str) else b""
    except ValueError:
        return False
    return line.endswith(b"\n") and check.exporter.signed(digest, signature)
