"""One guard taken out: exact text of the source, what stands there instead, and the tests that must turn red."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class MutationStale(Exception):
    """The source no longer holds the text that is to be replaced, just once: write the mutation anew."""


@dataclass(frozen=True, slots=True)
class Change:
    """In `file`, `old` (which stands there once) becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """`caught_by` are ids of test functions, as pytest takes them; each must fail. `peer`: number of one in docs/peers.md."""

    name: str
    changes: tuple[Change, ...]
    caught_by: tuple[str, ...]
    peer: int | None = None

    def applied(self, root: Path) -> Mapping[str, str]:
        """New text of each file that is changed. Raises MutationStale."""
        texts: dict[str, str] = {}
        for change in self.changes:
            text = texts.get(change.file) or (root / change.file).read_text(encoding="utf-8")
            if text.count(change.old) != 1:
                raise MutationStale(f"{self.name}: {change.file} holds {text.count(change.old)} times instead of once: "
                                    f"{change.old!r}; write the mutation anew")
            texts[change.file] = text.replace(change.old, change.new)
        return texts


def mutation(name: str, file: str, old: str, new: str, *caught_by: str, peer: int | None = None) -> Mutation:
    """With one change."""
    return Mutation(name, (Change(file, old, new),), caught_by, peer)
