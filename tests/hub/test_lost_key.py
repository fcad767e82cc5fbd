"""A data key that both sides have lost: what is sealed under it, and still here, is read all the same (invariants 3 and 7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from edge.identity import load_identity
from edge.journal import Journal, JournalLimits
from edge.journal_check import Finding, JournalCheck
from edge.key_copies import KeyCopies
from edge.line import HubRefused
from hub.backup import back_up
from proto import sync_pb2
from security.signer import Ed25519Signer
from tests.hub.audit.test_audit import Audit
from tests.hub.transactions.test_projector import transaction
from tests.spine import CEILING_S, CutWire, damage, draft
from tests.station import Station


class Pruned(Station):
    """A machine that has pruned its data key at 3 and the record at 4, and holds 5 to 8 under that key; the hub has 1 and 2."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Journal]:
        sealing = bytes.fromhex(load_identity(self.state.identity).hub_sealing_key)
        signer = Ed25519Signer.load(self.state.record_key)
        async with asyncio.timeout(CEILING_S), Journal(self.state.business.db, signer, sealing, self.clock,
                                                       JournalLimits(reserve_bytes=0)) as journal:
            yield journal

    async def deliver_from(self, journal: Journal, *callers: str, wire: type[CutWire] = CutWire) -> None:
        for caller in callers:
            await journal.submit(draft(caller, transaction()))
        async with self.ingest() as ingest:
            await self._until_proved(journal, wire(ingest, self.edge_id))

    async def lose(self, journal: Journal) -> None:
        await self.deliver_from(journal, "b1", "b2")
        self.back_up()
        await self.deliver_from(journal)
        await self.deliver_from(journal, "c1", "c2", "c3")
        assert await journal.pruned_to() == 4
        self.restore(self.folder / "old.db")

    async def come_back(self, journal: Journal, wire: type[CutWire] = CutWire) -> None:
        """What is lost on both sides is given up."""
        async with self.ingest() as ingest:
            with pytest.raises(HubRefused, match="HOLE: positions 3 to 4"):
                await self.uplink(journal, CutWire(ingest, self.edge_id)).session()
        [asked] = self.approvals.waiting()
        self.approvals.decide(asked.id, "周敏", "the backup burnt", approved=True)
        await self.deliver_from(journal, wire=wire)


@pytest.fixture
def pruned(tmp_path: Path) -> Iterator[Pruned]:
    station = Pruned(tmp_path)
    station.say("a1", deliver=True)
    back_up(station.hub_db, tmp_path / "old.db")
    yield station
    station.engine.dispose()


def test_what_is_sent_again_opens_also_where_its_data_key_was_pruned(pruned: Pruned) -> None:
    """By the hub that hears of it, and by one that was started since."""

    async def live() -> None:
        async with pruned.opened() as journal:
            await pruned.lose(journal)
            await pruned.come_back(journal)
            assert pruned.shown() == [2, 5, 6, 7, 8]
            await pruned.deliver_from(journal, "d1")

    asyncio.run(live())
    assert pruned.shown() == [2, 5, 6, 7, 8, 9]
    assert pruned.carried() == [3]
    pruned.check_ledger()
    audit = Audit(pruned)
    audit.whole()
    assert audit.found() == []
    audit.engine.dispose()


@pytest.mark.parametrize("copy", ["gone", "unsigned", "other"])
def test_where_the_second_copy_of_the_key_is_gone_or_damaged_a_new_key_begins(pruned: Pruned, copy: str) -> None:
    async def live() -> None:
        async with pruned.opened() as journal:
            await pruned.lose(journal)
            copies = KeyCopies(pruned.state.business.db)
            assert copies.find(1) is None  # nothing that is still here is sealed under it
            payload, signature = copies.find(3) or (b"", b"")
            if copy == "gone":
                copies.forget(8)
                (pruned.state.business.db.with_suffix(".keys") / "3.record").unlink()
            else:
                copies.keep(3, *((payload, bytes(64)) if copy == "unsigned" else (payload + b"\0", signature)))
            await pruned.come_back(journal)
            await pruned.deliver_from(journal, "d1", "d2")

    asyncio.run(live())
    assert [at for _, at in pruned.project(findings_max=4)] == [2, 10, 11]
    assert pruned.carried() == []


@pytest.mark.parametrize("field", ["data_key", "data_key_signature"])
def test_with_a_hole_the_hub_takes_no_other_record_than_the_data_key_that_was_lost(pruned: Pruned, field: str) -> None:
    class Liar(CutWire):
        async def replicate(self, requests: AsyncIterator[sync_pb2.ReplicateUp]) -> AsyncGenerator[sync_pb2.ReplicateDown, None]:
            async def changed() -> AsyncIterator[sync_pb2.ReplicateUp]:
                async for message in requests:
                    if message.HasField("missing"):
                        setattr(message.missing, field, bytes(64))
                    yield message

            async with aclosing(super().replicate(changed())) as replies:
                async for reply in replies:
                    yield reply

    async def live() -> None:
        async with pruned.opened() as journal:
            await pruned.lose(journal)
            await pruned.come_back(journal, Liar)

    asyncio.run(live())
    assert pruned.carried() == []
    assert [at for _, at in pruned.project(findings_max=4)] == [2]


def test_a_machines_file_has_the_data_key_of_what_is_in_it(pruned: Pruned) -> None:
    """Its line is gone, and the hub came back from an older backup."""

    async def live() -> None:
        async with pruned.opened() as journal:
            await pruned.lose(journal)

    asyncio.run(live())
    imported = pruned.take(pruned.export())
    assert (imported.unheld, imported.without_key) == ([(4, 4)], 0)
    assert pruned.shown() == [2, 5, 6, 7, 8]


def test_what_is_pruned_here_and_lost_at_the_hub_is_no_damage_of_the_machine(pruned: Pruned) -> None:
    """Neither while people decide on it nor after, whatever was started again meanwhile: an idle check would end the journal."""

    def findings() -> list[Finding]:
        with JournalCheck(pruned.state.business.db) as check:
            return check.step(0)[1]

    async def live() -> None:
        async with pruned.opened() as journal:
            await pruned.lose(journal)
            async with pruned.ingest() as ingest:
                with pytest.raises(HubRefused, match="HOLE"):
                    await pruned.uplink(journal, CutWire(ingest, pruned.edge_id)).session()
            assert (journal.standing.backed_up, findings()) == (2, [])
        async with pruned.opened() as journal:
            await pruned.come_back(journal)
            assert (journal.standing.backed_up, findings()) == (2, [])

    asyncio.run(live())
    pruned.deliver()
    assert findings() == []
    pruned.export()
    assert "LOST" not in pruned.told


def test_what_was_never_pruned_is_missing_whatever_the_hub_lost(pruned: Pruned) -> None:
    async def live() -> None:
        async with pruned.opened() as journal:
            await pruned.lose(journal)
            await pruned.come_back(journal)

    asyncio.run(live())
    damage(pruned.state.business.db, "DELETE FROM envelopes WHERE position = 5")
    with JournalCheck(pruned.state.business.db) as check:
        assert [one.position for one in check.step(0)[1]] == [5]
