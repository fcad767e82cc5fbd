"""The one ending of a check that fails: what a bundle says is not proved by it."""

from __future__ import annotations


class Unproved(ValueError):
    """A part of a bundle that is not what the parts before it, or the keys, say. The text says why, and what to do; `position` is
    where what is not proved begins, if that is not the part itself.
    """

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(reason)
        self.position = position
