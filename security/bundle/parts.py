"""What a bundle consists of: one part a line, in the order of docs/bundle-format.md."""

from __future__ import annotations

from security.bundle.entries import Entry, Journal, Proof, Range
from security.bundle.header import CheckpointNote, Epoch, Header
from security.bundle.lines import BadLine
from security.bundle.missing import Missing

Part = Header | Epoch | CheckpointNote | Journal | Range | Entry | Proof | Missing

_KINDS: dict[str, type[Part]] = {
    "header": Header, "epoch": Epoch, "checkpoint": CheckpointNote, "journal": Journal, "range": Range, "entry": Entry,
    "proof": Proof, "missing": Missing}
_NAMES = {part: kind for kind, part in _KINDS.items()}


def kind_name(part: Part) -> str:
    """How its line begins."""
    return _NAMES[type(part)]


def part_of(kind: str, body: object) -> Part:
    """Raises BadLine."""
    if kind not in _KINDS:
        raise BadLine(f"nothing in a bundle is called {kind[:40]!r}; get a newer suozhan-verify")
    return _KINDS[kind].of(body)
