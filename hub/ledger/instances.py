"""Which run of which machine's program speaks for a journal: one that comes back after another took over is a second machine."""

from __future__ import annotations

from uuid import UUID

REMEMBERED_MAX = 8


class Instances:
    """In memory: after a restart of the hub it takes one more change to see it."""

    def __init__(self) -> None:
        self._seen: dict[UUID, list[bytes]] = {}

    def comes_back(self, journal: UUID, instance: bytes) -> bool:
        """Note who opens a stream now. True when it did before, and another one has since: neither a restart nor a lost line
        can do that.
        """
        seen = self._seen.setdefault(journal, [])
        if not instance or (seen and seen[-1] == instance):
            return False
        returned = instance in seen
        if returned:
            seen.remove(instance)
        seen.append(instance)
        del seen[:-REMEMBERED_MAX]
        return returned
