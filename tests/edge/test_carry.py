"""Carrying over from a damaged journal into the one that follows it (invariants 2, 3 and 5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import pytest

from edge.alarms import Alarms
from edge.carry import Ask, Carrier, EarlierJournalUnreadable
from edge.drafts import Draft
from edge.followed import Ended, Succession
from edge.forerunners import Forerunners
from edge.identity import Identity
from edge.journal import Journal, JournalLimits
from edge.journal_store import create_journal
from edge.line import HubRefused, Line, LineLost
from edge.mending import whole
from edge.predecessors import Predecessors, tell_lost_records
from edge.salvage import salvage
from edge.settlement import Held
from edge.state import IdentityFolder
from security.chain import Genesis
from security.private_files import write_private
from security.record import CarriedRecord, Record, SealedBody, WrappedKey, parse_record
from security.signer import Ed25519Signer
from security.suites import Verifier
from tests.edge.machine import lose_database
from tests.spine import CEILING_S, Spine, damage, draft


class RestoredHub:
    """What a hub answers that holds so many digests of the old journal."""

    def __init__(self, *digests: bytes) -> None:
        self._digests = digests
        self.asked: list[int] = []

    async def ask(self, journal: UUID, position: int, digest: bytes) -> tuple[int, bool]:
        self.asked.append(position)
        return len(self._digests), position <= len(self._digests) and self._digests[position - 1] == digest


class Machine:
    """An old identity with a full journal, and the next one with an empty one; the hub is what the test says it holds."""

    def __init__(self, folder: Path) -> None:
        self.spine = Spine(folder)
        self.old, self.new = IdentityFolder(folder / "old"), IdentityFolder(folder / "new")
        self.old_genesis = self._make(self.old, None)
        self.new_genesis = self._make(self.new, self.old_genesis.journal)
        self.succession = Succession(self.old_genesis.edge, "damage", {"business": Ended(self.old_genesis.journal, 0, 0)})

    def _make(self, folder: IdentityFolder, predecessor: UUID | None) -> Genesis:
        folder.make()
        signer = Ed25519Signer.create(folder.record_key)
        genesis = Genesis(uuid4(), uuid4(), signer.suite, signer.public_key, predecessor)
        create_journal(folder.business.db, "business", genesis)
        key = signer.public_key.hex()
        Identity(edge=str(genesis.edge), hub=str(self.spine.hub_id), site="A01", site_name="", site_kind="office",
                 work_address="", enrol_address="", api_address="", root="", chain="", journal=str(genesis.journal),
                 hub_resource_key=key, hub_time_key=key, hub_sealing_key=key, hub_record_key=key,
                 hub_log_key=key).save(folder.identity)
        return genesis

    def journal(self, folder: IdentityFolder, forerunners: Forerunners | None = None) -> Journal:
        sealing = self.spine.sealing.public_key().public_bytes_raw()
        return Journal(folder.business.db, Ed25519Signer.load(folder.record_key), sealing, self.spine.clock,
                       JournalLimits(reserve_bytes=0), forerunners)

    async def write(self, *callers: str) -> list[bytes]:
        """Into the old journal, in one start; the digests of all that it holds, from position 1."""
        async with asyncio.timeout(CEILING_S), self.journal(self.old) as journal:
            for caller in callers:
                await journal.submit(draft(caller))
            digests = [await journal.digest_at(at) for at in range(1, journal.head.position + 1)]
        return [digest for digest in digests if digest]

    async def carry(self, held: Held | None, hub: RestoredHub | None = None) -> tuple[list[Record], dict[str, object]]:
        """What stands in the new journal then, and what it says of it."""
        if held:
            held.save(self.new.business)
        async with asyncio.timeout(CEILING_S), self.journal(self.new) as journal:
            await Carrier(self.old.business, self.new.business, self.succession, journal).carry_over((hub or RestoredHub()).ask)
            run = await journal.after(0, 1000, 10**7)
        return [parse_record(payload) for payload in run.payloads], json.loads(self.new.business.carried.read_bytes())

    @asynccontextmanager
    async def carrying(self, journal: Journal, ask: Ask) -> AsyncIterator[asyncio.Task[None]]:
        """As the agent does it, into that journal."""
        carrier = Carrier(self.old.business, self.new.business, self.succession, journal)
        line, alarms = Line("replicate", self.spine.clock, Random(1)), Alarms(self.spine.folder / "alarms", self.spine.clock)
        task = asyncio.create_task(Predecessors([carrier], ask, line, alarms).run())
        yield task
        task.cancel()
        await asyncio.wait([task])

    def check(self, records: Sequence[Record], positions: Sequence[int]) -> None:
        """Those positions of the old journal, once and in order, each under its own signature."""
        carried = [one.content for one in records if isinstance(one.content, CarriedRecord)]
        inner = [parse_record(one.payload) for one in carried]
        assert [one.position for one in inner] == list(positions)
        verifier = Verifier(self.old_genesis.suite, self.old_genesis.public_key)
        for one, record in zip(carried, inner, strict=True):
            assert (record.edge, record.journal) == (self.old_genesis.edge, self.old_genesis.journal)
            assert verifier.valid(one.signature, b"suozhan/record/v1\0" + one.digest)
            if isinstance(record.content, SealedBody):
                assert isinstance(one.data_key, WrappedKey)
                opened = self.spine.unsealer().unwrap(record.edge, record.journal, one.data_key)
                assert json.loads(opened.open(record.content, position=record.position, kind=record.kind))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_everything_behind_the_last_common_record_is_carried_once_however_often_it_runs(machine: Machine) -> None:
    digests = asyncio.run(machine.write("a", "b", "c", "d"))  # 1 is the data key
    held = Held(3, 0, digests[:3])
    records, said = asyncio.run(machine.carry(held))
    machine.new.business.carried.unlink()  # as if it had died before it could say so
    again, _ = asyncio.run(machine.carry(held))
    assert [one.id for one in again[:len(records)]] == [one.id for one in records]
    assert [one.kind for one in again[len(records):]] == []
    carried = [one for one in records if one.kind == "carried"]
    assert len(carried) == said["carried"] == 2
    assert said == {"common": 3, "digest": digests[2].hex(), "carried": 2, "lost": 0}
    machine.check(records, [4, 5])  # with their key, which the hub has: it may not once it was restored


@pytest.mark.parametrize("damaged", [None, b"", b"not json", b'{"position": 3}'])
@pytest.mark.parametrize(("at_hub", "foreign", "common"), [(0, 0, 0), (3, 0, 3), (6, 0, 6), (2, 4, 2)])
def test_where_the_hubs_word_is_damaged_on_the_disk_the_hub_says_it_again(
        machine: Machine, damaged: bytes | None, at_hub: int, foreign: int, common: int) -> None:
    digests = asyncio.run(machine.write("a", "b", "c", "d", "e"))
    if damaged is not None:
        write_private(machine.new.business.held, damaged)
    records, said = asyncio.run(machine.carry(None, RestoredHub(*digests[:at_hub], *[bytes(32)] * foreign)))
    assert (said["common"], said["lost"]) == (common, 0)
    machine.check(records, range(common + 1, 7))


def test_a_digest_that_is_lost_here_hides_no_later_one_that_the_hub_has_too(machine: Machine) -> None:
    digests = asyncio.run(machine.write("a", "b", "c", "d", "e"))
    damage(machine.old.business.db, "UPDATE envelopes SET payload = zeroblob(10) WHERE position = 3")
    damage(machine.old.business.db, "UPDATE digests SET digest = zeroblob(32) WHERE position = 3")
    _, said = asyncio.run(machine.carry(None, RestoredHub(*digests[:4])))
    assert (said["common"], said["carried"], said["lost"]) == (4, 2, 0)


def test_a_hub_that_cannot_be_asked_is_asked_again(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.predecessors.RETRY_S", 0.01)
    digests = asyncio.run(machine.write("a"))
    hub, meets = RestoredHub(*digests[:1]), [LineLost("away"), HubRefused("no")]

    async def ask(journal: UUID, position: int, digest: bytes) -> tuple[int, bool]:
        if meets:
            raise meets.pop()
        return await hub.ask(journal, position, digest)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), machine.journal(machine.new) as journal, machine.carrying(journal, ask):
            while not machine.new.business.carried.exists():
                await asyncio.sleep(0.01)

    asyncio.run(live())
    assert json.loads(machine.new.business.carried.read_bytes())["common"] == 1


def test_a_fork_is_carried_from_where_it_began(machine: Machine) -> None:
    digests = asyncio.run(machine.write("a", "b", "c"))
    records, said = asyncio.run(machine.carry(Held(9, 1, [digests[1], *[bytes(32)] * 7])))
    assert said["common"] == 2
    machine_positions = [parse_record(one.content.payload).position for one in records if isinstance(one.content, CarriedRecord)]
    assert machine_positions == [3, 4]


async def _look_back(machine: Machine, hub: RestoredHub) -> tuple[list[int], int]:
    """Positions of the old journal that stand in the new one then, as they come, and behind which all is settled."""
    async with asyncio.timeout(CEILING_S), machine.journal(machine.new) as journal:
        await Carrier(machine.old.business, machine.new.business, machine.succession, journal).look_back(hub.ask)
        run = await journal.after(0, 1000, 10**7)
    carried = [one.content for one in map(parse_record, run.payloads) if isinstance(one.content, CarriedRecord)]
    settled = json.loads(machine.new.business.carried.read_bytes())
    return [parse_record(one.payload).position for one in carried], settled["common"]


@pytest.mark.parametrize(("held", "foreign", "common", "carried"), [
    (4, 0, 4, [5, 6]), (6, 0, 4, [5, 6]),  # nothing is missing
    (3, 0, 3, [5, 6, 4]), (1, 0, 1, [5, 6, 2, 3, 4]), (0, 0, 0, [5, 6, 1, 2, 3, 4]),
    (2, 6, 2, [5, 6, 3, 4]), (0, 6, 0, [5, 6, 1, 2, 3, 4]),  # a copy of the machine's disk went on at the restored hub
])
def test_what_a_restored_hub_no_longer_has_of_an_old_journal_is_carried_too(
        machine: Machine, held: int, foreign: int, common: int, carried: list[int]) -> None:
    """Invariant 3: its agent had delivered that, and offers nothing of a journal that has ended."""
    digests = asyncio.run(machine.write("a", "b", "c", "d", "e"))
    asyncio.run(machine.carry(Held(4, 0, digests[:4])))
    hub = RestoredHub(*digests[:held], *[bytes(32)] * foreign)
    assert asyncio.run(_look_back(machine, hub)) == (carried, common)
    hub.asked.clear()
    assert asyncio.run(_look_back(machine, hub)) == (carried, common)
    assert hub.asked == ([common] if common else []), "asked once, and no page read, where nothing is missing"


def test_the_note_of_what_is_settled_may_be_damaged(machine: Machine) -> None:
    digests = asyncio.run(machine.write("a", "b"))
    held = Held(1, 0, digests[:1])
    records, _ = asyncio.run(machine.carry(held))
    for damaged in (b"", b"{}", b'{"common": 1, "digest": "xy", "carried": 0, "lost": 0}', b"[]"):
        machine.new.business.carried.write_bytes(damaged)
        again, said = asyncio.run(machine.carry(held))
        assert [one.id for one in again] == [one.id for one in records]
        assert said["common"] == 1


def test_a_digest_of_the_hub_proves_the_first_record_behind_it(machine: Machine) -> None:
    """Where the machine has lost a record and its digest, it can prove nothing of the next one by itself."""
    digests = asyncio.run(machine.write("a", "b", "c"))
    damage(machine.old.business.db, "UPDATE envelopes SET payload = zeroblob(10) WHERE position = 2")
    damage(machine.old.business.db, "UPDATE digests SET digest = zeroblob(32) WHERE position = 2")
    _, said = asyncio.run(machine.carry(Held(2, 0, digests[:2])))
    assert (said["common"], said["carried"], said["lost"]) == (2, 2, 0)


def test_what_is_lost_is_listed_and_the_rest_is_carried(machine: Machine) -> None:
    asyncio.run(machine.write("a", "b", "c", "d"))
    damage(machine.old.business.db, "UPDATE envelopes SET payload = zeroblob(10) WHERE position = 3")
    records, said = asyncio.run(machine.carry(Held(0, 0, [])))
    machine.check(records, [1, 2, 4, 5])
    assert said["lost"] == 1
    (told,) = [one for one in records if one.kind == "journal.succeeded"]
    assert isinstance(told.content, SealedBody)


def test_a_damaged_signature_is_made_again_and_a_data_key_has_a_second_copy(machine: Machine) -> None:
    asyncio.run(machine.write("a", "b"))
    damage(machine.old.business.db, "UPDATE envelopes SET signature = zeroblob(64) WHERE position = 2")
    damage(machine.old.business.db, "UPDATE envelopes SET payload = zeroblob(100) WHERE position = 1")
    records, said = asyncio.run(machine.carry(Held(0, 0, [])))
    assert said["lost"] == 0
    machine.check(records, [1, 2, 3])


def test_a_key_file_of_another_machine_signs_nothing_again(machine: Machine) -> None:
    """Invariant 4: by that key every true signature looks damaged."""
    asyncio.run(machine.write("a", "b"))
    machine.old.record_key.unlink()
    other = Ed25519Signer.create(machine.old.record_key)
    with salvage(machine.old.business.db) as salvaged:
        genesis = replace(salvaged.identity.genesis, public_key=other.public_key)
        known = replace(salvaged.identity, genesis=genesis)
    with salvage(machine.old.business.db, known) as salvaged:
        entries = list(salvaged.entries())
        assert entries
        assert not any(whole(machine.old.business, salvaged, entry) for entry in entries)


def test_a_second_copy_that_proves_nothing_is_not_taken(machine: Machine) -> None:
    asyncio.run(machine.write("a"))
    damage(machine.old.business.db, "UPDATE envelopes SET payload = zeroblob(100) WHERE position = 1")
    copy = machine.old.business.db.with_suffix(".keys") / "1.record"
    write_private(copy, copy.read_bytes()[:-1] + b"x")
    _, said = asyncio.run(machine.carry(Held(0, 0, [])))
    assert said["lost"] == 1


def test_an_old_journal_in_any_state_stops_no_agent(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with it, carrying waits and tries again; the counter's journal takes records meanwhile."""
    monkeypatch.setattr("edge.predecessors.RETRY_S", 0.01)
    digests = asyncio.run(machine.write("a"))
    whole = machine.old.business.db.read_bytes()
    machine.old.business.db.unlink()
    write_private(machine.new.business.held, b"not json")

    async def live() -> None:
        async with (asyncio.timeout(CEILING_S), machine.journal(machine.new) as journal,
                    machine.carrying(journal, RestoredHub().ask) as carrying):
            await journal.submit(draft("meanwhile"))
            await asyncio.sleep(0.1)
            Held(0, 0, digests[:0]).save(machine.new.business)
            await asyncio.sleep(0.1)
            assert not carrying.done()
            assert not machine.new.business.carried.exists()
            machine.old.business.db.write_bytes(whole)
            while not machine.new.business.carried.exists():
                await asyncio.sleep(0.01)

    asyncio.run(live())
    assert json.loads(machine.new.business.carried.read_bytes())["carried"] == 2


def test_no_other_journal_is_carried_in_the_place_of_one_that_is_gone(machine: Machine) -> None:
    """A folder that is gone leaves its successor beside the one before it."""
    asyncio.run(machine.write("a"))
    gone = str(uuid4())
    machine.succession = replace(machine.succession, journals={"business": Ended(gone, 0, 0)})
    with pytest.raises(EarlierJournalUnreadable, match=f"{gone} cannot be read: .* is another one"):
        asyncio.run(machine.carry(Held(0, 0, [])))
    assert not machine.new.business.carried.exists()


@pytest.mark.parametrize("left", [Path.mkdir, Path.touch, lambda path: path.write_bytes(bytes(40960)),
                                  lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(44))])
def test_a_file_in_which_nothing_is_left_is_not_settled_as_an_empty_journal(
        machine: Machine, left: Callable[[Path], None]) -> None:
    """Invariant 3: a copy may turn up."""
    asyncio.run(machine.write("a"))
    machine.old.business.db.unlink()
    left(machine.old.business.db)
    with pytest.raises(EarlierJournalUnreadable, match="holds no record that can be proved"):
        asyncio.run(machine.carry(Held(0, 0, [])))
    assert not machine.new.business.carried.exists()


def test_a_log_whose_file_is_gone_is_not_settled_as_the_whole_journal(machine: Machine) -> None:
    """Invariant 3: the file may turn up."""
    lose_database(machine.old, 300, 20)
    with pytest.raises(EarlierJournalUnreadable, match=rf"{machine.old.business.db} is gone, and its log is not all of it"):
        asyncio.run(machine.carry(Held(0, 0, [])))
    assert not machine.new.business.carried.exists()


def test_a_journal_in_which_nothing_was_written_is_settled(machine: Machine) -> None:
    _, said = asyncio.run(machine.carry(Held(0, 0, [])))
    assert (said["carried"], said["lost"]) == (0, 0)


def test_no_journals_name_makes_a_callers_id_that_is_refused() -> None:
    """A name in hexadecimal may look like an ID number, by chance and for ever."""
    Draft(f"carried:{UUID('12345678-1234-4234-8234-123456789012')}:999999999999", "carried", b"")
    Draft(f"journal.succeeded:{UUID('12345678-1234-4234-8234-123456789012').hex[:8]}:0", "journal.succeeded", b"")


def test_what_could_not_be_carried_over_is_an_alarm_before_it_counts_as_settled(machine: Machine) -> None:
    """`journal.succeeded` lists it for the hub; who stands before the machine reads no record."""
    asyncio.run(machine.write("a", "b", "c", "d"))
    damage(machine.old.business.db, "UPDATE envelopes SET payload = zeroblob(10) WHERE position IN (3, 4)")
    Held(0, 0, []).save(machine.new.business)
    alarms = Alarms(machine.spine.folder / "alarms", machine.spine.clock)

    def tell(text: str) -> None:
        assert not machine.new.business.carried.exists()
        tell_lost_records(alarms, text)

    async def carried() -> None:
        async with asyncio.timeout(CEILING_S), machine.journal(machine.new) as journal:
            carrier = Carrier(machine.old.business, machine.new.business, machine.succession, journal, tell)
            await carrier.carry_over(RestoredHub().ask)
            await carrier.carry_over(RestoredHub().ask)  # settled by now

    asyncio.run(carried())
    [alarm] = alarms.open_alarms()
    assert alarm.kind == "records-lost"
    assert "2 records of the earlier business journal" in alarm.text
    assert "at positions 3 to 4" in alarm.text
    assert "联系市信息中心" in alarm.hint
