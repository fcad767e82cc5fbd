"""What the uploader asks of this machine's journals."""

from __future__ import annotations

from collections.abc import Sequence

from edge.journal import Journal


class JournalRecords:
    """`business` has the records that name attachments; no journal waits behind one."""

    def __init__(self, business: Journal, others: Sequence[Journal] = ()) -> None:
        self._business = business
        self._journals = (business, *others)

    def all_held(self) -> bool:
        return not any(one.queued for one in self._journals)

    def backed_up(self) -> object:
        return self._business.standing.backed_up

    async def has(self, caller_id: str) -> bool:
        return await self._business.find(caller_id) is not None
