"""The audit behind the fast path: each thing that it looks for, and that one finding stops nothing (invariants 4 to 7)."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prometheus_client import CollectorRegistry

from hub.attention.alarms import Alarms
from hub.audit import auditor as auditor_module
from hub.audit.auditor import Auditor
from hub.audit.metrics import AuditMetrics
from hub.audit.tables import audited, data_keys, findings
from hub.database import open_engine
from hub.ledger.hole import Hole
from hub.ledger.runs import Arrival, Damaged
from hub.ledger.store import Ledger
from security.chain import Genesis, digests_after, leaf_hashes, signing_input
from security.record import CarriedRecord, ClearBody, Content, Record, SealedBody, Times, parse_record
from security.run import Run
from security.sealing import DataKey
from security.signer import Ed25519Signer
from security.suites import Suite
from tests.spine import CEILING_S, CutWire, Spine, damage, draft

STOP_MAX_S = 20
BODY = b'{"item":"003-01"}'


class Machine:
    """Puts whatever it likes into the ledger, as ingest would: a run whose last signature holds."""

    def __init__(self, spine: Spine, edge: UUID | None = None, journal: UUID | None = None, after: UUID | None = None) -> None:
        self.spine = spine
        self.signer = spine.signer if edge is None else Ed25519Signer(Ed25519PrivateKey.generate())
        self.edge, self.journal = edge or spine.edge_id, journal or spine.journal_id
        if edge is not None:
            genesis = Genesis(edge, self.journal, Suite.ED25519_SHA256, self.signer.public_key, after)
            spine.own.register_machine([("business", genesis)], "A01")
        self.key = DataKey(self.edge, self.journal)
        self.key_position = 0

    @property
    def next(self) -> int:
        with Ledger(self.spine.hub_db) as ledger:
            return ledger.journal(self.journal).position + 1

    def record(self, position: int, content: Content, kind: str = "transaction") -> bytes:
        return Record(uuid4(), self.edge, self.journal, position, kind, Times(1, 0, bytes(16), 1), False, content).payload()

    def store(self, payloads: list[bytes], wrongly: dict[int, bytes] | None = None) -> int:
        """Returns the first position."""
        with Ledger(self.spine.hub_db) as ledger:
            head = ledger.journal(self.journal)
            first, now_ms = head.position + 1, self.spine.clock.unix_ms()
            digests = digests_after(head.digest, payloads)
            signatures = [(wrongly or {}).get(at, self.signer.sign(signing_input(digest))) for at, digest in enumerate(digests)]
            leaves = leaf_hashes(self.signer.key_id, self.journal.bytes, first, digests, signatures, now_ms)
            ledger.append([Arrival(self.journal, Run(first, head.digest, payloads, signatures), digests, leaves, now_ms)])
        return first

    def begin(self, key: DataKey | None = None) -> None:
        """A data-key record."""
        self.key = key or self.key
        self.key_position = self.next
        wrapped = self.key.wrap(self.spine.sealing.public_key().public_bytes_raw())
        self.store([self.record(self.key_position, wrapped, "data-key")])

    def sealed(self, position: int, kind: str = "transaction") -> SealedBody:
        return self.key.seal(BODY, key_position=self.key_position, position=position, kind=kind)

    def transact(self, change: Callable[[SealedBody], SealedBody] = lambda sealed: sealed) -> int:
        """Returns the position."""
        position = self.next
        return self.store([self.record(position, change(self.sealed(position)))])


class Audit:
    """An auditor and all that it tells."""

    def __init__(self, spine: Spine) -> None:
        self.spine = spine
        self.engine = open_engine(spine.hub_db)
        self.alarms = Alarms(self.engine, spine.own, spine.clock)
        self.restart()

    def restart(self) -> None:
        """Of the hub: what was in memory only is forgotten."""
        self.registry, spine = CollectorRegistry(), self.spine
        self.auditor = Auditor(self.engine, spine.hub_db, spine.unsealer(), self.alarms, spine.own, spine.clock,
                               AuditMetrics(self.registry))

    def whole(self) -> None:
        """To the end of the feed."""
        while self.auditor.step():
            pass

    def found(self) -> list[tuple[str, int, str]]:
        """Journal, position and reason of each finding."""
        query = sa.select(findings.c.journal, findings.c.position, findings.c.reason).order_by(findings.c.id)
        with self.engine.connect() as connection:
            return [(row.journal, row.position, row.reason) for row in connection.execute(query)]

    def register(self) -> list[tuple[str, int, int]]:
        """Journal, position, counter."""
        query = sa.select(data_keys.c.journal, data_keys.c.position, data_keys.c.counter).order_by(data_keys.c.position)
        with self.engine.connect() as connection:
            return [(row.journal, row.position, row.counter) for row in connection.execute(query)]


@pytest.fixture
def spine(tmp_path: Path) -> Spine:
    return Spine(tmp_path)


@pytest.fixture
def audit(spine: Spine) -> Iterator[Audit]:
    audit = Audit(spine)
    yield audit
    audit.engine.dispose()


def size(spine: Spine) -> int:
    with Ledger(spine.hub_db) as ledger:
        return ledger.size()


def only(audit: Audit, position: int, reason: str, machine: Machine | None = None) -> None:
    """One finding, told in all three ways, and the audit is behind it."""
    machine = machine or Machine(audit.spine)
    audit.whole()
    ((journal, at, text),) = audit.found()
    assert (journal, at) == (str(machine.journal), position)
    assert reason in text
    (alarm,) = audit.alarms.open_alarms()
    assert (alarm.kind, alarm.subject) == ("audit", f"journal {journal}")
    assert text in alarm.text
    with Ledger(audit.spine.hub_db) as ledger:
        own = [parse_record(one.payload) for one in ledger.feed(0, 10**4) if one.journal == audit.spine.hub_id]
    said = [json.loads(one.content.data) for one in own if one.kind == "audit.finding" and isinstance(one.content, ClearBody)]
    assert [(one["journal"], one["findings"][0]["position"], one["findings"][0]["reason"]) for one in said] == [
        (journal, position, text)]
    assert audit.registry.get_sample_value("suozhan_hub_audit_findings_total") == 1
    assert audit.registry.get_sample_value("suozhan_hub_audit_lag_entries") == 0
    assert audit.auditor.cursor() == size(audit.spine) == audit.registry.get_sample_value("suozhan_hub_audit_cursor")


def test_what_an_honest_machine_delivers_is_no_finding(spine: Spine, audit: Audit) -> None:
    async def fill() -> None:
        for start in range(2):  # each start has a data key of its own
            async with spine.journal() as journal, spine.ingest() as ingest:
                for number in range(5):
                    await journal.submit(draft(f"{start}-{number}"))
                await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(fill())
    audit.whole()
    assert audit.found() == []
    assert audit.alarms.open_alarms() == []
    assert [(position, counter) for _, position, counter in audit.register()] == [(1, 5), (7, 5)]
    assert audit.auditor.cursor() == size(spine)
    assert audit.auditor.step() == 0


@pytest.mark.parametrize("signature", [bytes(64), b"", bytes(100)])
def test_every_single_signature_is_verified_not_only_the_last_of_a_batch(
        spine: Spine, audit: Audit, signature: bytes) -> None:
    machine = Machine(spine)
    machine.begin()
    first = machine.store([machine.record(at, machine.sealed(at)) for at in range(2, 7)], {2: signature})
    only(audit, first + 2, "the signature does not hold, and came like that; the chain and a later signature prove the digest")


@pytest.mark.parametrize(("statement", "reason"), [
    ("UPDATE runs SET arrived_ms = arrived_ms + 1 WHERE first = 3 AND journal = 2", "the leaf hash does not match"),
    ("UPDATE runs SET leaves = randomblob(32) WHERE first = 3 AND journal = 2", "the leaf hash does not match"),
    ("UPDATE runs SET signatures = randomblob(64) WHERE first = 3 AND journal = 2", "the leaf hash does not match"),
])
def test_what_was_changed_in_the_ledger_is_found(spine: Spine, audit: Audit, statement: str, reason: str) -> None:
    machine = Machine(spine)
    machine.begin()
    for _ in range(4):
        machine.transact()
    damage(spine.hub_db, statement)
    only(audit, 3, reason)


def test_a_changed_payload_is_found_and_so_is_that_its_seal_is_broken(spine: Spine, audit: Audit) -> None:
    machine = Machine(spine)
    machine.begin()
    for _ in range(4):
        machine.transact()
    damage(spine.hub_db, "UPDATE runs SET payloads = CAST(substr(payloads, 1, length(payloads) - 1) || x'00' AS BLOB) "
                         "WHERE first = 3 AND journal = 2")
    audit.whole()
    assert [(position, reason[:22]) for _, position, reason in audit.found()] == [
        (3, "the payload is not wha"), (3, "the body at position 3")]
    (alarm,) = audit.alarms.open_alarms()
    assert "(and 1 more)" in alarm.text


@pytest.mark.parametrize("statement", [
    "UPDATE runs SET count = count + 1 WHERE first = 3 AND journal = 2",
    "UPDATE runs SET payloads = CAST(payloads || x'00' AS BLOB) WHERE first = 3 AND journal = 2",
    "DELETE FROM runs WHERE first = 3 AND journal = 2",
])
def test_a_row_that_nobody_can_read_is_a_finding_and_is_passed_by(spine: Spine, audit: Audit, statement: str) -> None:
    machine = Machine(spine)
    machine.begin()
    for _ in range(4):
        machine.transact()
    machine.transact(lambda sealed: replace(sealed, ciphertext=bytes(40)))
    damage(spine.hub_db, statement)
    audit.whole()
    found = audit.found()
    assert any("does not hold what it says" in reason or "are missing" in reason for _, _, reason in found)
    assert found[-1][1] == 6
    assert audit.auditor.cursor() == size(spine)


def test_a_journal_that_is_not_what_was_registered_is_found(spine: Spine, audit: Audit) -> None:
    machine = Machine(spine)
    machine.begin()
    damage(spine.hub_db, "UPDATE journals SET predecessor = randomblob(16) WHERE ref = 2")
    only(audit, 1, "are not what was registered")


@pytest.mark.parametrize(("change", "reason"), [
    (lambda sealed: replace(sealed, ciphertext=sealed.ciphertext[:-1] + bytes([sealed.ciphertext[-1] ^ 1])), "does not open"),
    (lambda sealed: replace(sealed, counter=sealed.counter + 1), "does not open"),
    (lambda sealed: replace(sealed, dictionary=0), "does not open"),
    (lambda sealed: replace(sealed, key_position=2), "holds none"),
    (lambda sealed: replace(sealed, key_position=3), "is not before it"),
    (lambda sealed: replace(sealed, key_position=2**64 - 1), "is not before it"),
    (lambda sealed: replace(sealed, key_position=0), "is not before it"),
])
def test_a_seal_that_does_not_open_is_found_though_it_is_well_signed(
        spine: Spine, audit: Audit, change: Callable[[SealedBody], SealedBody], reason: str) -> None:
    machine = Machine(spine)
    machine.begin()
    machine.transact()
    position = machine.transact(change)
    machine.transact()
    only(audit, position, reason)


def test_a_body_that_was_sealed_for_another_place_or_kind_does_not_open(spine: Spine, audit: Audit) -> None:
    machine = Machine(spine)
    machine.begin()
    machine.store([machine.record(2, machine.sealed(3)), machine.record(3, machine.sealed(3, "login"))])
    audit.whole()
    assert [position for _, position, _ in audit.found()] == [2, 3]


def test_a_data_key_for_another_hub_is_found_and_so_is_what_was_sealed_under_it(spine: Spine, audit: Audit) -> None:
    machine = Machine(spine)
    other = X25519PrivateKey.generate().public_key().public_bytes_raw()
    machine.store([machine.record(1, machine.key.wrap(other), "data-key")])
    machine.key_position = 1
    machine.transact()
    audit.whole()
    assert [position for _, position, _ in audit.found()] == [1, 2]


@pytest.mark.parametrize("back", [1, 2])
@pytest.mark.parametrize("page", [500, 1])
def test_a_counter_that_is_used_twice_or_goes_back_is_found(
        spine: Spine, audit: Audit, monkeypatch: pytest.MonkeyPatch, back: int, page: int) -> None:
    """Whether both uses are looked at together or by two starts of the hub."""
    monkeypatch.setattr(auditor_module, "PAGE_ENTRIES", page)
    machine = Machine(spine)
    machine.begin()
    for _ in range(3):
        machine.transact()
    machine.key._counter -= back  # as a machine does that was rolled back while it ran
    position = machine.transact()
    machine.key._counter += back
    machine.transact()
    only(audit, position, f"counter {4 - back} of the data key at position 1 does not go on behind 3")


@pytest.mark.parametrize("page", [500, 1])
def test_a_data_key_that_occurs_twice_is_found_in_its_journal_and_in_another(
        spine: Spine, audit: Audit, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(auditor_module, "PAGE_ENTRIES", page)
    machine = Machine(spine)
    machine.begin()
    machine.transact()
    machine.begin(machine.key)
    other = Machine(spine, uuid4(), uuid4())
    other.key._secret = machine.key._secret
    other.begin()
    audit.whole()
    assert [(journal, position) for journal, position, _ in audit.found()] == [
        (str(machine.journal), 3), (str(other.journal), 1)]
    assert f"that of position 1 in journal {machine.journal}" in audit.found()[0][2]
    assert len(audit.alarms.open_alarms()) == 2


def test_a_record_that_says_its_place_twice_and_not_the_same_is_found(spine: Spine, audit: Audit) -> None:
    machine = Machine(spine)
    machine.store([machine.record(1, ClearBody(b"{}"), "note") + b"\x20\x07"])
    only(audit, 1, "says twice where it stands")


def test_clear_content_and_kinds_that_nobody_knows_are_no_finding(spine: Spine, audit: Audit) -> None:
    machine = Machine(spine)
    machine.store([machine.record(1, ClearBody(b"\xff not json"), "of.a.later.program")])
    machine.begin()
    machine.store([machine.record(3, machine.sealed(3, "of.a.later.program"), "of.a.later.program")])
    audit.whole()
    assert audit.found() == []


# ---- carried records ----


def _carry(old: Machine, payload: bytes, previous: bytes, *, signature: bytes | None = None) -> CarriedRecord:
    digest = digests_after(previous, [payload])[0]
    wrapped = old.key.wrap(old.spine.sealing.public_key().public_bytes_raw())
    return CarriedRecord(previous, old.signer.key_id, payload, signature or old.signer.sign(signing_input(digest)), wrapped)


def _undelivered(old: Machine, sealed: SealedBody | None = None) -> CarriedRecord:
    with Ledger(old.spine.hub_db) as ledger:
        head = ledger.journal(old.journal)
    position = head.position + 1
    return _carry(old, old.record(position, sealed or old.sealed(position)), head.digest)


def test_what_was_carried_over_is_looked_at_and_may_come_twice(spine: Spine, audit: Audit) -> None:
    old, successor = Machine(spine), Machine(spine, uuid4(), uuid4(), spine.journal_id)
    old.begin()
    old.transact()
    carried = _undelivered(old)
    for _ in range(2):
        successor.store([successor.record(successor.next, carried, "carried")])
    audit.whole()
    assert audit.found() == []


@pytest.mark.parametrize("wrong", ["signature", "seal", "counter"])
def test_what_is_wrong_with_a_carried_record_is_found(spine: Spine, audit: Audit, wrong: str) -> None:
    old, successor = Machine(spine), Machine(spine, uuid4(), uuid4(), spine.journal_id)
    old.begin()
    old.transact()
    if wrong == "counter":
        old.key._counter -= 1
    carried = _undelivered(old, SealedBody(1, 2, 1, bytes(40)) if wrong == "seal" else None)
    if wrong == "signature":
        carried = replace(carried, signature=bytes(64))
    successor.store([successor.record(1, carried, "carried")])
    audit.whole()
    ((journal, position, reason),) = audit.found()
    assert (journal, position) == (str(successor.journal), 1)
    expected = {"signature": "signature that does not hold", "seal": "does not open", "counter": "does not go on behind"}
    assert expected[wrong] in reason


def test_what_somebody_carries_who_follows_nobody_is_a_finding_however_well_it_is_signed(spine: Spine, audit: Audit) -> None:
    """A key that was stolen from a machine writes no more history once its journal has ended."""
    old, other = Machine(spine), Machine(spine, uuid4(), uuid4())
    old.begin()
    old.transact()
    other.store([other.record(1, _undelivered(old), "carried")])
    old.store([old.record(3, _undelivered(old), "carried")])  # nor into its own journal, at whatever position it likes
    audit.whole()
    assert [(journal, position) for journal, position, _ in audit.found()] == [(str(other.journal), 1), (str(old.journal), 3)]
    assert all("does not follow it" in reason for *_, reason in audit.found())


@pytest.mark.parametrize("position", [0, 2**63, 2**64 - 1])
def test_a_carried_record_at_a_position_that_no_journal_has_stops_no_audit(spine: Spine, audit: Audit, position: int) -> None:
    old, successor = Machine(spine), Machine(spine, uuid4(), uuid4(), spine.journal_id)
    wrapped = DataKey(old.edge, old.journal).wrap(spine.sealing.public_key().public_bytes_raw())
    successor.store([successor.record(1, _carry(old, old.record(position, wrapped, "data-key"), bytes(32)), "carried")])
    only(audit, 1, "a position that no journal reaches", successor)


def _lost(machine: Machine, payloads: list[bytes]) -> list[CarriedRecord]:
    """They become an accepted hole; as somebody who has them still can carry them."""
    with Ledger(machine.spine.hub_db) as ledger:
        head = ledger.journal(machine.journal)
    digests = digests_after(head.digest, payloads)
    ids = [parse_record(payload).id for payload in payloads]
    machine.spine.own.accept_hole(machine.journal, Hole(head.position + 1, head.digest, digests, ids, 1), {})
    return [_carry(machine, payload, before) for payload, before in zip(payloads, [head.digest, *digests], strict=False)]


def test_what_was_lost_and_is_found_again_has_used_no_counter_twice(spine: Spine, audit: Audit) -> None:
    """It comes behind the records that came behind its hole, under the same data key."""
    machine, successor = Machine(spine), Machine(spine, uuid4(), uuid4(), spine.journal_id)
    machine.begin()
    machine.transact()
    lost = _lost(machine, [machine.record(at, machine.sealed(at)) for at in (3, 4)])
    machine.transact()
    for one in lost:
        successor.store([successor.record(successor.next, one, "carried")])
    audit.whole()
    assert audit.found() == []


def test_the_key_of_another_branch_is_not_taken_for_the_one_at_its_position(spine: Spine, audit: Audit) -> None:
    """A cloned disk: each copy had a start of its own, and goes on with another key at the same position."""
    machine, clone = Machine(spine), Machine(spine)
    successor = Machine(spine, uuid4(), uuid4(), spine.journal_id)
    machine.store([machine.record(1, ClearBody(b"{}"), "note")])
    with Ledger(spine.hub_db) as ledger:
        before = ledger.journal(machine.journal).digest
    wrapped = clone.key.wrap(spine.sealing.public_key().public_bytes_raw())
    machine.begin()
    machine.transact()
    successor.store([successor.record(1, _carry(clone, clone.record(2, wrapped, "data-key"), before), "carried")])
    audit.whole()
    audit.restart()
    successor.store([successor.record(2, _carry(clone, clone.record(2, wrapped, "data-key"), before), "carried")])
    machine.transact()
    audit.whole()
    assert audit.found() == []


# ---- its cursor ----


def test_a_commit_that_fails_is_tried_again_and_makes_no_counter_look_used(
        spine: Spine, audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 11: what the register was told is forgotten together with the page."""
    machine = Machine(spine)
    machine.begin()
    machine.transact()
    machine.transact(lambda sealed: replace(sealed, ciphertext=bytes(40)))

    def fails(_connection: sa.Connection, _cursor: int) -> None:
        raise sa.exc.OperationalError("", {}, OSError("disk full"))

    with monkeypatch.context() as patch:
        patch.setattr(auditor_module, "_move", fails)
        with pytest.raises(sa.exc.OperationalError):
            audit.auditor.step()
    assert audit.found() == []
    assert audit.register() == []
    assert [one.kind for one in audit.alarms.open_alarms()] == ["audit"]  # told already, and told again
    audit.whole()
    assert [position for _, position, _ in audit.found()] == [3]
    assert [one.times for one in audit.alarms.open_alarms()] == [2]


def test_a_finding_that_cannot_be_noted_is_damage_and_ends_no_hub(spine: Spine, audit: Audit) -> None:
    machine = Machine(spine)
    machine.begin()
    machine.transact(lambda sealed: replace(sealed, ciphertext=bytes(40)))
    damage(spine.hub_db, "UPDATE ledger_head SET size = size - 1")
    with pytest.raises(Damaged, match=r"the audit found .* does not open"):
        audit.auditor.step()
    assert audit.found() == []


def test_a_cursor_beyond_the_ledger_begins_anew(spine: Spine, audit: Audit) -> None:
    machine = Machine(spine)
    machine.begin()
    machine.transact()
    audit.whole()
    with audit.engine.begin() as connection:
        connection.execute(audited.update().values(cursor=1_000))
    audit.whole()
    assert audit.auditor.cursor() == size(spine)
    assert audit.found() == []
    (alarm,) = audit.alarms.open_alarms()
    assert "less than was audited" in alarm.text


def test_it_rests_three_times_as_long_as_it_works_and_stops_between_a_few_entries(
        spine: Spine, audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(spine)
    machine.begin()
    machine.store([machine.record(at, machine.sealed(at)) for at in range(2, 202)])
    rests: list[float] = []
    audit.auditor.step(rests.append)
    assert len(rests) == -(-size(spine) // auditor_module.CHUNK_ENTRIES)
    waited: list[float] = []
    monkeypatch.setattr(audit.auditor._stopping, "wait", waited.append)
    audit.auditor._rest(0.01)
    assert waited == [pytest.approx(0.03)]


def test_it_follows_the_feed_beside_everything_else_and_stops_at_once(
        spine: Spine, audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditor_module, "SHARE", 0.0001)  # it rests for a minute
    machine = Machine(spine)
    machine.begin()
    machine.store([machine.record(at, machine.sealed(at)) for at in range(2, 202)])
    resting, wait = threading.Event(), audit.auditor._stopping.wait

    def rest(timeout_s: float) -> bool:
        resting.set()
        return wait(timeout_s)

    monkeypatch.setattr(audit.auditor._stopping, "wait", rest)

    async def run() -> float:
        task = asyncio.create_task(audit.auditor.run())
        assert await asyncio.to_thread(resting.wait, CEILING_S)
        task.cancel()
        began = time.perf_counter()
        await asyncio.wait([task], timeout=CEILING_S)
        return began

    began = asyncio.run(run())  # waits for the thread
    assert time.perf_counter() - began < STOP_MAX_S
    assert 0 < audit.auditor.cursor() < size(spine)


def test_the_audit_of_a_damaged_own_journal_does_not_feed_itself(spine: Spine, audit: Audit) -> None:
    """Whatever the hub writes there is a finding, and the record of a finding would be the next one, without end."""
    damage(spine.hub_db, "UPDATE journals SET public_key = ? WHERE journal = ?", spine.signer.public_key, spine.hub_id.bytes)
    before = size(spine)
    for _ in range(20):
        audit.auditor.step()
    assert audit.auditor.cursor() == size(spine) <= before + 3
    assert [one.subject for one in audit.alarms.open_alarms()] == [f"journal {spine.hub_id}"]
    assert [position for _, position, _ in audit.found()] == list(range(1, size(spine) + 1))
