"""Carrying over: what the old journal could not deliver goes verbatim into the new one; what is lost is listed there.

Each record has the same caller's id however often this runs, so a crash anywhere costs nothing (invariant 2).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

import structlog

from edge.drafts import Draft, JournalRefused
from edge.journal import Journal
from edge.keys_check import known_identity
from edge.mending import whole
from edge.salvage import NothingToSalvage, Salvaged, salvage
from edge.state import IdentityFolder
from edge.succession import Succession
from security.private_files import read_private, write_private
from security.record import CarriedRecord, SealedBody, WrappedKey, parse_record
from security.suites import Verifier

KIND = "carried"
DONE_KIND = "journal.succeeded"
GROUP = 100
LOST_LISTED_MAX = 200
RETRY_S = 60.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Held:
    """What the hub said of the old journal: where it ended there, and its digests from the one behind `known` on."""

    position: int
    known: int
    digests: Sequence[bytes]

    def save(self, folder: IdentityFolder) -> None:
        write_private(folder.held, json.dumps({"position": self.position, "known": self.known,
                                               "digests": b"".join(self.digests).hex()}).encode())

    @classmethod
    def load(cls, folder: IdentityFolder) -> Held:
        """Raises OSError, ValueError."""
        said = json.loads(read_private(folder.held))
        digests = bytes.fromhex(said["digests"])
        return cls(int(said["position"]), int(said["known"]), [digests[at:at + 32] for at in range(0, len(digests), 32)])


@dataclass
class _Count:
    carried: int = 0
    unopened: int = 0
    lost: list[dict[str, object]] = field(default_factory=list)


class Carrier:
    """From one identity's journal into the next one's, which is open."""

    def __init__(self, old: IdentityFolder, new: IdentityFolder, succession: Succession, journal: Journal) -> None:
        self._old = old
        self._new = new
        self._succession = succession
        self._journal = journal

    async def run(self) -> None:
        """Until it is done; nothing to do is done, too."""
        while not self._new.carried.exists():
            try:
                await self._carry()
            except (JournalRefused, NothingToSalvage, OSError, ValueError, sqlite3.Error) as error:
                # The old journal may be in any state; the counter works in the new one, whatever becomes of it.
                log.warning("carrying over waits", reason=str(error), folder=str(self._old.root),
                            next="look after this disk; if it "
                            "stays like this: suozhan-edge export, and call the city's IT desk")
                await asyncio.sleep(RETRY_S)

    async def _carry(self) -> None:
        held = await asyncio.to_thread(Held.load, self._new)
        count = _Count()
        with ExitStack() as stack:
            # In a thread: reading all pages of a large journal takes minutes, and the counter works meanwhile.
            reading = salvage(self._old.journal, known_identity(self._old))
            salvaged = await asyncio.to_thread(stack.enter_context, reading)
            common = await asyncio.to_thread(_common, salvaged, held)
            drafts = self._drafts(salvaged, common, count)
            while group := await asyncio.to_thread(list, islice(drafts, GROUP)):
                await asyncio.gather(*[self._journal.submit(draft) for draft in group])
        await self._report(common, count)
        await asyncio.to_thread(write_private, self._new.carried, json.dumps(
            {"common": common, "carried": count.carried, "lost": len(count.lost)}).encode())
        log.warning("carried over", old=self._succession.old_journal, held_by_hub=common, carried=count.carried,
                    lost=len(count.lost), without_key=count.unopened)

    def _drafts(self, salvaged: Salvaged, common: int, count: _Count) -> Iterator[Draft]:
        """Of everything behind the last record that both have."""
        key_id = Verifier(salvaged.identity.genesis.suite, salvaged.identity.genesis.public_key).key_id
        keys: dict[int, WrappedKey] = {}
        for entry in salvaged.entries(common + 1):
            saved = whole(self._old, salvaged, entry)
            if saved is None:
                count.lost.append({"position": entry.position, "id": str(entry.id) if entry.id else None,
                                   "digest": entry.digest.hex() if entry.digest else None})
                continue
            record = parse_record(saved.payload)
            if isinstance(record.content, WrappedKey):
                keys[saved.position] = record.content
            key = keys.get(record.content.key_position) if isinstance(record.content, SealedBody) else None
            if isinstance(record.content, SealedBody) and key is None and record.content.key_position > common:
                count.unopened += 1
            count.carried += 1
            carried = CarriedRecord(saved.previous, key_id, saved.payload, saved.signature, key)
            yield Draft(f"{KIND}:{salvaged.identity.genesis.journal}:{saved.position}", KIND, b"", record.simulated,
                        carried=carried)

    async def _report(self, common: int, count: _Count) -> None:
        for number, start in enumerate(range(0, max(len(count.lost), 1), LOST_LISTED_MAX)):
            body = {"old_edge": self._succession.old_edge, "old_journal": self._succession.old_journal,
                    "reason": self._succession.reason, "held_by_hub": common, "carried": count.carried,
                    "without_key": count.unopened, "lost_records": len(count.lost),
                    "lost": count.lost[start:start + LOST_LISTED_MAX]}
            await self._journal.submit(Draft(f"{DONE_KIND}:{self._succession.old_journal_id.hex[:8]}:{number}", DONE_KIND,
                                             json.dumps(body, sort_keys=True).encode()))


def _common(salvaged: Salvaged, held: Held) -> int:
    """The last position at which both have the same digest: it covers all before."""
    common = min(held.known, held.position)
    for position, digest in enumerate(held.digests, common + 1):
        if salvaged.digest_at(position) == digest:
            common = position
    return common
