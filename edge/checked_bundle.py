"""A bundle in the making: each part is checked as its reader will check it, before it is written."""

from __future__ import annotations

from security.bundle.check import BundleCheck, Trust
from security.bundle.header import Header
from security.bundle.parts import Part
from security.bundle.unproved import Unproved
from security.bundle.writer import BundleWriter


class CheckedBundle:
    """What a damaged disk gives may be anything: one bad receipt must not spoil the records around it."""

    def __init__(self, writer: BundleWriter, header: Header) -> None:
        """Raises Unproved when the exporter cannot prove who he is."""
        self._check = BundleCheck(header, Trust())
        self._writer = writer
        writer.write(header)

    def write(self, part: Part) -> None:
        """Raises Unproved."""
        self._check.take(part)
        self._writer.write(part)

    def offer(self, part: Part) -> bool:
        """False when it is not proved; then it is left out."""
        try:
            self.write(part)
        except Unproved:
            return False
        return True
