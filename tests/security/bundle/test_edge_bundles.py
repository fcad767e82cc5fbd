"""A machine's own bundle: what it holds, what it lacks, what the hub has proved to it, and whose word the rest is."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hub.enrolment.authority import load_authority
from hub.ledger.store import Ledger
from hub.ledger.tree_store import TreeStore
from security.bundle.entries import Entry, Journal, Proof, Range
from security.bundle.header import CheckpointNote, Header
from security.bundle.missing import Missing, MissingRecord, Why
from security.bundle.parts import Part
from security.bundle.reader import verify_bundle
from security.bundle.report import Report
from security.bundle.writer import BundleWriter
from security.certificates import der, edge_certificate, new_csr, new_key
from security.checkpoint import Checkpoint
from security.note import NoteKey
from security.proofs import inclusion_proof
from security.suites import Suite
from security.tiles import TileReader
from security.verifier.report_json import json_of
from security.verifier.report_text import text_of
from tests.hub.evidence.city import City, Machine
from tests.security.bundle.forger import proved


@dataclass
class Held:
    """What a machine has in its folder: entries as they are in the hub's ledger, receipts, and its TLS key."""

    city: City
    machine: Machine
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def header(self, edge: UUID | None = None) -> Header:
        authority = load_authority(self.city.state.ca)
        intermediate, now = authority.intermediate, dt.datetime.fromtimestamp(self.city.clock.unix_ms() / 1000, dt.UTC)
        mine = edge_certificate(intermediate, new_csr(self.key, "m"), self.city.hub, edge or self.machine.edge, now)
        log_key = NoteKey(f"suozhan.hub/{self.city.hub}/1", self.city.keys.log.public_key)
        return Header(self.city.hub, edge or self.machine.edge, "李芳", "the line is gone", "all of this machine",
                      self.city.clock.unix_ms(), log_key, (der(mine), der(intermediate.certificate), der(authority.root)))

    def start(self) -> tuple[Journal, Range]:
        """The journal, from its beginning."""
        return self.journal(), Range(1, self.machine.genesis.digest())

    def journal(self) -> Journal:
        machine = self.machine
        return Journal(machine.journal, machine.edge, "business", Suite.ED25519_SHA256, machine.signer.public_key)

    def entry(self, position: int) -> Entry:
        with Ledger(self.city.state.database) as ledger:
            held = ledger.entry(self.machine.journal, position)
        assert held is not None
        return Entry(position, held.payload, held.signature)

    def digest(self, position: int) -> bytes:
        with Ledger(self.city.state.database) as ledger:
            return ledger.digest_at(ledger.journal(self.machine.journal), position)

    def checkpoint(self) -> CheckpointNote:
        """The newest one."""
        with TreeStore(self.city.state.database) as tree:
            return CheckpointNote(tree.checkpoint(1))

    def receipt(self, position: int, note: CheckpointNote, *, signature: bool = False) -> Proof:
        size = Checkpoint.parse(note.note.split("\n\n")[0] + "\n").size
        with Ledger(self.city.state.database) as ledger, TreeStore(self.city.state.database) as tree:
            held = ledger.entry(self.machine.journal, position)
            assert held is not None
            index = held.cursor - 1
            hashes = inclusion_proof(index, size, TileReader(tree.tile).node)
            return Proof(position, index, held.arrived_ms, tuple(hashes), held.signature if signature else None)

    def lacking(self, first: int, last: int, why: Why) -> Missing:
        return Missing(first, why, tuple(MissingRecord(uuid4(), self.digest(at)) for at in range(first, last + 1)))

    def bundle(self, *parts: Part, edge: UUID | None = None) -> Report:
        file = self.city.folder / f"{uuid4()}.bundle"
        with BundleWriter(file, self.key) as bundle:
            for part in (self.header(edge), *parts):
                bundle.write(part)
        return verify_bundle(file)


@pytest.fixture
def held(tmp_path: Path) -> Held:
    city = City(tmp_path)
    machine = city.machine()
    city.append(machine, 9)
    city.publish()
    return Held(city, machine)


def _refused(report: Report) -> str:
    assert report.refusal is not None
    assert report.signed, "the machine has signed it"
    return str(report.refusal)


def test_entries_with_receipts_and_some_that_wait_for_one(held: Held) -> None:
    early = held.checkpoint()
    held.city.append(held.machine, 2)
    held.city.publish()
    late = held.checkpoint()
    report = held.bundle(
        early, *held.start(), *(held.entry(at) for at in range(1, 6)), held.receipt(5, early),
        held.entry(6), held.entry(7), held.receipt(7, early), late, held.receipt(7, late), held.entry(8), held.entry(9))
    assert report.refusal is None
    assert proved(report) == ["1-4:chain>5 5-5:own proof 6-6:chain>7 7-7:own proof 8-9:signature only"]
    text = "\n".join(text_of(report, held.city.clock.unix_ms()))
    assert f"Exported by machine {held.machine.edge}" in text
    assert "the word of this machine, its registration is not in this bundle" in text
    assert "positions 8 to 9: signed, but not shown to be in the ledger" in text


def test_what_was_pruned_or_lost_is_named_and_its_receipts_are_proved(held: Held) -> None:
    note = held.checkpoint()
    lost = Missing(7, Why.LOST, (MissingRecord(None, None),))
    report = held.bundle(
        note, *held.start(), held.lacking(1, 4, Why.PRUNED),
        held.receipt(3, note, signature=True), held.receipt(4, note, signature=True), held.entry(5), held.entry(6), lost,
        Range(8, held.digest(7)), held.entry(8), held.entry(9), held.receipt(9, note))
    assert report.refusal is None
    assert proved(report) == ["1-4:pruned 3-4:receipt 5-6:signature only 7-7:lost", "8-8:chain>9 9-9:own proof"]
    text = "\n".join(text_of(report, held.city.clock.unix_ms()))
    assert "positions 1 to 4: not here: delivered to the hub before, says the machine" in text
    assert "positions 3 to 4: each proved by its receipt, though not here: index 3 to 4" in text
    assert "position 7: LOST at the machine, as it says" in text


def test_nothing_is_proved_across_what_is_missing(held: Held) -> None:
    """The digest behind it is a claim until a record behind it is signed, and says nothing of what came before."""
    note = held.checkpoint()
    report = held.bundle(note, *held.start(), held.entry(1), held.lacking(2, 4, Why.LOST),
                         held.entry(5), held.receipt(5, note))
    assert proved(report) == ["1-1:signature only 2-4:lost 5-5:own proof"]
    unknown = Missing(2, Why.LOST, (MissingRecord(uuid4(), None),))
    start = (note, *held.start(), held.entry(1))
    assert "no range begins before it" in _refused(held.bundle(*start, unknown, held.entry(3)))
    wrong = Missing(2, Why.LOST, (MissingRecord(uuid4(), bytes(32)),))
    assert "position 3: its signature does not hold" in _refused(held.bundle(*start, wrong, held.entry(3)))


def test_receipts_that_prove_nothing_are_refused(held: Held) -> None:
    note = held.checkpoint()
    start = (note, *held.start())
    good = held.receipt(1, note)
    for bad in (Proof(1, good.index + 1, good.arrived_ms, good.hashes), Proof(1, good.index, good.arrived_ms + 1, good.hashes),
                Proof(1, good.index, good.arrived_ms, good.hashes[:-1])):
        assert "not proved to be in the ledger" in _refused(held.bundle(*start, held.entry(1), bad))
    with_signature = Proof(1, good.index, good.arrived_ms, good.hashes, held.entry(1).signature)
    for other in (with_signature, held.receipt(2, note)):
        assert "belongs to no record before it" in _refused(held.bundle(*start, held.entry(1), other))
    gone = held.lacking(1, 2, Why.PRUNED)
    assert "belongs to no record before it" in _refused(held.bundle(*start, gone, good))
    stolen = Proof(2, held.receipt(2, note).index, good.arrived_ms, held.receipt(2, note).hashes, held.entry(1).signature)
    assert "the signature in its proof is not that" in _refused(held.bundle(*start, gone, stolen))
    assert "there is no checkpoint before its proof" in _refused(held.bundle(*start[1:], held.entry(1), good))


def test_a_journal_begins_where_its_genesis_says(held: Held) -> None:
    """Not even its own machine can give it another beginning, or a record of another journal."""
    run, _ = held.machine.run(0, bytes(32), 1)
    entry = Entry(1, run.payloads[0], run.signatures[0])
    assert "not that with which this journal begins" in _refused(held.bundle(held.journal(), Range(1, bytes(32)), entry))
    assert "position 1: its signature does not hold" in _refused(held.bundle(*held.start(), entry))
    other = Machine("A01", held.machine.edge, signer=held.machine.signer)
    run, _ = other.run(0, held.machine.genesis.digest(), 1)
    foreign = Entry(1, run.payloads[0], run.signatures[0])
    assert "not a record of this machine, journal and position" in _refused(held.bundle(*held.start(), foreign))


def test_two_checkpoints_that_contradict_each_other_are_told_as_what_they_are(held: Held) -> None:
    honest = held.checkpoint()
    of = Checkpoint.parse(honest.note.split("\n\n")[0] + "\n")
    other = CheckpointNote(Checkpoint(of.origin, of.size, bytes(32)).signed(held.city.keys.log).decode())
    assert "has signed two roots for the same 10 entries; keep this file" in _refused(held.bundle(honest, other))


def test_a_journal_of_another_identity_is_named_as_such(held: Held) -> None:
    """A machine that had to begin anew hands over what its old identity wrote; the old record key has signed it."""
    note = held.checkpoint()
    report = held.bundle(note, *held.start(), held.entry(1), held.receipt(1, note), edge=uuid4())
    assert report.refusal is None
    assert "the word of ANOTHER machine" in "\n".join(text_of(report, held.city.clock.unix_ms()))


def test_a_machine_cannot_say_what_only_the_hub_can(held: Held) -> None:
    """It invents no records of the hub's own journal, no registration, and no hole."""
    note = held.checkpoint()
    own = Journal(held.city.hub, held.city.hub, "hub", Suite.ED25519_SHA256, held.city.keys.record.public_key)
    assert "the hub's own journal cannot be like that" in _refused(held.bundle(note, own))
    registered = Journal(**{name: getattr(held.journal(), name) for name in ("journal", "edge", "name", "suite", "public_key")},
                         registered=1)
    assert "no record of the hub in this bundle registers its key" in _refused(held.bundle(note, registered))
    hole = Missing(1, Why.HOLE, (MissingRecord(uuid4(), bytes(32)),), 1)
    assert "its exporter cannot say" in _refused(
        held.bundle(note, *held.start(), hole))


def _fail(bundle: BundleWriter, header: Header) -> None:
    bundle.write(header)
    raise OSError("the disk is full")


def test_a_bundle_appears_whole_or_not_at_all(held: Held) -> None:
    file = held.city.folder / "broken.bundle"
    bundle = BundleWriter(file, held.key)
    with pytest.raises(OSError, match="the disk is full"), bundle:
        _fail(bundle, held.header())
    assert [path.name for path in held.city.folder.iterdir() if "broken" in path.name] == []


def test_what_cannot_be_shown_to_a_person_is_not_written(held: Held) -> None:
    honest = held.header()
    for text in ("x\ny", "\x1b[2J", "a\u202eb", "长" * 501):
        with pytest.raises(ValueError, match="cannot stand in a bundle"):
            Header(honest.hub, honest.edge, text, honest.reason, honest.scope, 0, honest.log_key, honest.certificates)


def test_the_json_of_a_report_says_the_same(held: Held) -> None:
    note = held.checkpoint()
    report = held.bundle(note, *held.start(), held.entry(1), held.entry(2),
                         held.receipt(2, note), held.lacking(3, 4, Why.PRUNED), held.entry(5))
    said = json.loads(json.dumps(json_of(report)))
    assert (said["proved"], said["entries"], said["header"]["edge"]) == (True, 3, str(held.machine.edge))
    assert said["journals"][0]["ranges"] == [[
        {"first": 1, "last": 1, "by": "chain", "to": 2},
        {"first": 2, "last": 2, "by": "own proof", "index": [2, 2], "arrived_ms": [held.city.clock.now_ms] * 2},
        {"first": 3, "last": 4, "by": "pruned"}, {"first": 5, "last": 5, "by": "signature only"}]]
