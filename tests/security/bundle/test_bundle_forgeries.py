"""Forged bundles, signed by an exporter who lies: what is proved does not rest on his word (invariants 5 and 6)."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hub.enrolment.authority import load_authority
from hub.evidence.selection import Selection
from security.bundle.check import Trust
from security.bundle.reader import verify_bundle
from security.certificates import (
    der,
    edge_certificate,
    load_key,
    new_csr,
    new_intermediate,
    new_key,
    new_root,
    server_certificate,
)
from security.chain import Genesis, next_digest
from security.checkpoint import Checkpoint
from security.note import NoteKey
from security.record import sign_link
from security.signer import Ed25519Signer
from security.suites import Suite
from security.verifier.report_text import text_of
from tests.hub.evidence.city import City, Machine, own_record
from tests.security.bundle.forger import Line, forged, lines_of, numbers, proved, refusal

JOURNAL = 7  # its line, behind header, epoch, checkpoint, and the hub's own journal with one proved entry
FIRST = 9  # the first entry, its proof behind it, and so on


@dataclass
class Case:
    """A hub, a machine with five records, another one with three, and the bundle of the first."""

    city: City
    machine: Machine
    other: Machine
    file: Path

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The exporter's own."""
        return load_key((self.city.state.tls / "server.key").read_bytes())

    def lie(self, change: Callable[[list[Line]], list[Line] | None]) -> str:
        """Where the verifier finds it, once the exporter has signed it."""
        file = forged(self.file, change, self.key)
        report = verify_bundle(file)
        assert report.refusal is not None, "the forgery was taken"
        assert report.signed, "the exporter has signed it"
        assert refusal(forged(self.file, change)).subject == report.refusal.subject
        return f"{report.refusal.subject}: {report.refusal.reason}".replace(f"journal {self.machine.journal}, ", "")

    def lines(self, machine: Machine) -> list[Line]:
        """Of an honest bundle of another machine."""
        file, _ = self.city.export(f"{uuid4()}.bundle", Selection(machine.journal))
        return lines_of(file)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    city = City(tmp_path)
    machine, other = city.machine("A01"), city.machine("B02")
    city.append(machine, 5)
    city.append(other, 3)
    city.publish()
    file, report = city.export("honest.bundle", Selection(machine.journal))
    assert report.refusal is None
    assert proved(report) == ["1-1:own proof", "1-5:own proof"]
    return Case(city, machine, other, file)


def test_swapped_entries_are_found(case: Case) -> None:
    def swap(lines: list[Line]) -> None:
        lines[FIRST:FIRST + 2], lines[FIRST + 2:FIRST + 4] = lines[FIRST + 2:FIRST + 4], lines[FIRST:FIRST + 2]

    assert case.lie(swap).startswith("position 1: it is position 2, and 1 comes next")


def test_entries_that_change_their_positions_are_found(case: Case) -> None:
    def swap(lines: list[Line]) -> None:
        for name in ("payload", "signature"):
            lines[FIRST][1][name], lines[FIRST + 2][1][name] = lines[FIRST + 2][1][name], lines[FIRST][1][name]

    assert case.lie(swap).startswith("position 1: it is not a record of this machine, journal and position")


@pytest.mark.parametrize("position", [1, 3])
def test_an_entry_that_is_left_out_is_found(case: Case, position: int) -> None:
    def leave_out(lines: list[Line]) -> None:
        at = FIRST + 2 * (position - 1)
        del lines[at:at + 2]

    assert case.lie(leave_out).startswith(f"position {position}: it is position {position + 1}")


def test_an_entry_that_is_left_out_behind_a_new_range_is_no_gap_unseen(case: Case) -> None:
    """What stands behind it is proved by itself; the report says that the chain is not whole."""
    def leave_out(lines: list[Line]) -> None:
        previous = base64.b64encode(bytes(32)).decode()
        lines[FIRST + 4:FIRST + 6] = [("range", {"first": 4, "previous": previous})]

    assert case.lie(leave_out).startswith("position 4: its signature does not hold")

    def rightly(lines: list[Line]) -> None:
        digest = case.machine.genesis.digest()
        for at in range(3):
            digest = next_digest(digest, base64.b64decode(lines[FIRST + 2 * at][1]["payload"]))
        lines[FIRST + 4:FIRST + 6] = [("range", {"first": 4, "previous": base64.b64encode(digest).decode()})]

    report = verify_bundle(forged(case.file, rightly, case.key))
    assert report.refusal is None
    assert proved(report) == ["1-1:own proof", "1-2:own proof", "4-5:own proof"]


def test_an_entry_of_another_journal_is_found(case: Case) -> None:
    others = case.lines(case.other)

    def exchange(lines: list[Line]) -> None:
        lines[FIRST + 2:FIRST + 4] = others[FIRST + 2:FIRST + 4]

    assert case.lie(exchange).startswith("position 2: it is not a record of this machine")


def test_the_proof_of_another_entry_is_found(case: Case) -> None:
    def exchange(lines: list[Line]) -> None:
        for name in ("index", "hashes"):
            lines[FIRST + 1][1][name], lines[FIRST + 3][1][name] = lines[FIRST + 3][1][name], lines[FIRST + 1][1][name]
        lines[FIRST][1]["index"], lines[FIRST + 2][1]["index"] = lines[FIRST + 1][1]["index"], lines[FIRST + 3][1]["index"]

    assert case.lie(exchange).startswith("position 1, its proof: it is not proved to be in the ledger")


def test_an_arrival_that_is_not_the_one_in_the_tree_is_found(case: Case) -> None:
    def earlier(lines: list[Line]) -> None:
        lines[FIRST][1]["arrived_ms"] -= 1

    def both(lines: list[Line]) -> None:
        lines[FIRST][1]["arrived_ms"] -= 1
        lines[FIRST + 1][1]["arrived_ms"] -= 1

    assert case.lie(earlier).startswith("position 1, its proof: its proof is for another place or arrival")
    assert case.lie(both).startswith("position 1, its proof: it is not proved to be in the ledger")


def test_entries_without_any_proof_behind_them_are_not_proved(case: Case) -> None:
    def last(lines: list[Line]) -> None:
        for _ in range(2):
            del lines[numbers(lines, "proof")[-1]]

    assert case.lie(last).startswith("position 4: positions 4 to 5 are not proved to be in the ledger")


def test_a_signature_that_the_machine_did_not_make_is_found_though_the_chain_covers_the_payload(case: Case) -> None:
    def exchange(lines: list[Line]) -> None:
        lines[FIRST][1]["signature"] = lines[FIRST + 2][1]["signature"]
        del lines[FIRST + 1]

    assert case.lie(exchange).startswith("position 1: its signature does not hold")


def test_a_record_that_was_never_in_the_ledger_is_found(case: Case) -> None:
    """Signed by the machine's own key: hub and machine together cannot put it in afterwards."""
    run, _ = case.machine.run(0, case.machine.genesis.digest(), 1)

    def invent(lines: list[Line]) -> None:
        lines[FIRST][1].update({"payload": base64.b64encode(run.payloads[0]).decode(),
                            "signature": base64.b64encode(run.signatures[0]).decode()})

    assert case.lie(invent).startswith("position 1, its proof: it is not proved to be in the ledger")


def test_a_checkpoint_of_another_log_is_found(case: Case, tmp_path: Path) -> None:
    stranger = Ed25519Signer.create(tmp_path / "stranger.key")

    def checkpoint(origin: str, signer: Any) -> Callable[[list[Line]], None]:
        def change(lines: list[Line]) -> None:
            honest = Checkpoint.parse(lines[2][1]["note"].split("\n\n")[0] + "\n")
            lines[2][1]["note"] = Checkpoint(origin, honest.size, honest.root).signed(signer).decode()
        return change

    hub, log = case.city.hub, case.city.keys.log
    assert "this hub's log has not signed it" in case.lie(checkpoint(f"suozhan.hub/{hub}/1", stranger))
    assert "another log or epoch" in case.lie(checkpoint(f"suozhan.hub/{uuid4()}/1", log))
    assert "another log or epoch" in case.lie(checkpoint(f"suozhan.hub/{hub}/2", log))


def test_an_old_checkpoint_is_found(case: Case) -> None:
    honest = case.file.read_bytes()
    case.city.append(case.machine, 1)
    case.city.publish()
    file, report = case.city.export("newer.bundle", Selection(case.machine.journal))
    assert report.refusal is None
    case.file = file

    def older(lines: list[Line]) -> None:
        lines[2] = ("checkpoint", json.loads(honest.splitlines()[2])["checkpoint"])

    assert "is not proved to be in the ledger" in case.lie(older)


def test_a_root_that_the_log_signed_for_no_tree_proves_nothing(case: Case) -> None:
    def other_root(lines: list[Line]) -> None:
        honest = Checkpoint.parse(lines[2][1]["note"].split("\n\n")[0] + "\n")
        lines[2][1]["note"] = Checkpoint(honest.origin, honest.size, bytes(32)).signed(case.city.keys.log).decode()

    assert "is not proved to be in the ledger" in case.lie(other_root)


def test_a_key_that_was_registered_for_another_machine_is_found(case: Case) -> None:
    def other_machine(lines: list[Line]) -> None:
        lines[JOURNAL][1]["edge"] = str(case.other.edge)

    def other_key(lines: list[Line]) -> None:
        lines[JOURNAL][1]["public_key"] = base64.b64encode(case.other.signer.public_key).decode()

    def other_registration(lines: list[Line]) -> None:
        lines[4:7] = case.lines(case.other)[4:7]
        lines[JOURNAL][1]["registered"] = 2

    def none(lines: list[Line]) -> None:
        del lines[JOURNAL][1]["registered"]

    for change in (other_machine, other_key, other_registration):
        assert "another key, machine or journal was registered there" in case.lie(change)
    assert "no record of the hub in this bundle registers its key" in case.lie(none)


def test_a_registration_that_the_hub_did_not_sign_is_found(case: Case, tmp_path: Path) -> None:
    """Neither by no key, nor by another one, nor by its own key but never in its ledger."""
    invented = Machine("A01")
    genesis = invented.genesis
    body = {"edge": str(genesis.edge), "genesis": genesis.digest().hex(), "journal": str(genesis.journal), "name": "business",
            "public_key": genesis.public_key.hex(), "site": "A01", "suite": 1}
    payload = own_record(case.city, "key.registered", json.dumps(body).encode(), 1)
    own = Genesis(case.city.hub, case.city.hub, Suite.ED25519_SHA256, case.city.keys.record.public_key)

    def registering(signature: bytes) -> Callable[[list[Line]], None]:
        def change(lines: list[Line]) -> None:
            lines[5][1].update({"payload": base64.b64encode(payload).decode(), "signature": base64.b64encode(signature).decode()})
        return change

    stranger = Ed25519Signer.create(tmp_path / "stranger.key")
    for signature in (b"", bytes(64), sign_link(stranger, own.digest(), payload).signature):
        assert "position 1: its signature does not hold" in case.lie(registering(signature))
    signed = sign_link(case.city.keys.record, own.digest(), payload).signature
    assert "position 1, its proof: it is not proved to be in the ledger" in case.lie(registering(signed))


def test_a_journal_that_pretends_to_be_the_hubs_own_is_found(case: Case) -> None:
    """Else a machine could register whom it likes."""
    def pretend(lines: list[Line]) -> None:
        lines[3][1].update({"edge": str(case.other.edge)})

    assert "the hub's own journal cannot be like that" in case.lie(pretend)


def test_epochs_that_were_left_out_are_found(case: Case) -> None:
    def leave_out(lines: list[Line]) -> None:
        del lines[1]

    def twice(lines: list[Line]) -> None:
        lines.insert(1, lines[1])

    assert "has all epochs and then one checkpoint" in case.lie(leave_out)
    assert "it is epoch 1 behind epoch 1" in case.lie(twice)


def test_parts_in_another_order_prove_nothing(case: Case) -> None:
    def moved(start: int, end: int) -> Callable[[list[Line]], None]:
        def change(lines: list[Line]) -> None:
            lines.insert(end, lines.pop(start))
        return change

    def doubled(start: int) -> Callable[[list[Line]], None]:
        def change(lines: list[Line]) -> None:
            lines.append(lines[start])
        return change

    for change in (moved(2, 12), moved(1, 2), moved(JOURNAL, 3), moved(8, 9), moved(FIRST + 1, FIRST), doubled(0), doubled(1),
                   doubled(2), doubled(3), doubled(JOURNAL), doubled(8), doubled(FIRST), doubled(FIRST + 1)):
        assert case.lie(change)


def test_records_cannot_be_called_missing_by_a_hub_that_has_them(case: Case) -> None:
    def missing(why: str, accepted: dict[str, int]) -> Callable[[list[Line]], None]:
        def change(lines: list[Line]) -> None:
            lines[FIRST + 2:FIRST + 4] = [("missing", {"first": 2, "why": why, "records": [{}], **accepted})]
        return change

    assert "its exporter cannot say" in case.lie(missing("pruned", {}))
    assert "its exporter cannot say" in case.lie(missing("hole", {}))
    assert "no record of the hub in this bundle accepts this hole" in case.lie(missing("hole", {"accepted": 1}))


def test_a_pin_or_a_log_key_that_was_given_decides(case: Case) -> None:
    honest = verify_bundle(case.file)
    assert honest.exporter is not None
    log_key = NoteKey(f"suozhan.hub/{case.city.hub}/1", case.city.keys.log.public_key)
    assert verify_bundle(case.file, Trust(honest.exporter.pin, log_key)).refusal is None
    refused = refusal(case.file, Trust(bytes(32)))
    assert (refused.subject, honest.exporter.pin.hex() in refused.reason) == ("header", True)
    for other in (NoteKey(log_key.name, case.machine.signer.public_key),
                  NoteKey(f"suozhan.hub/{uuid4()}/1", log_key.public_key)):
        assert refusal(case.file, Trust(None, other)).subject == "header"


Chain = Callable[[Case], tuple[list[bytes], ec.EllipticCurvePrivateKey]]


def _another_root(case: Case) -> tuple[list[bytes], ec.EllipticCurvePrivateKey]:
    """With the name of ours, by somebody else."""
    now, key = dt.datetime.now(dt.UTC), new_key()
    root = new_root(case.city.hub, now)
    intermediate = new_intermediate(root, case.city.hub, now)
    return [der(server_certificate(intermediate, key, ["127.0.0.1"], now)), der(intermediate.certificate),
            der(root.certificate)], key


def test_somebody_elses_root_is_another_pin(case: Case) -> None:
    """Without a pin nobody can tell, and the report says so."""
    honest = verify_bundle(case.file).exporter
    assert honest is not None
    certificates, key = _another_root(case)

    def exchange(lines: list[Line]) -> None:
        lines[0][1]["certificates"] = [base64.b64encode(one).decode() for one in certificates]

    file = forged(case.file, exchange, key)
    assert "another hub made this bundle" in refusal(file, Trust(honest.pin)).reason
    report = verify_bundle(file)
    assert report.refusal is None
    assert any("NOT CHECKED" in line for line in text_of(report, 0))


def _of(case: Case, leaf: Callable[[Any, ec.EllipticCurvePrivateKey, dt.datetime], Any]) -> Chain:
    def chain(_case: Case) -> tuple[list[bytes], ec.EllipticCurvePrivateKey]:
        authority, key = load_authority(case.city.state.ca), new_key()
        now = dt.datetime.fromtimestamp(case.city.clock.unix_ms() / 1000, dt.UTC)
        return [der(leaf(authority.intermediate, key, now)), der(authority.intermediate.certificate), der(authority.root)], key
    return chain


def test_a_certificate_that_is_not_the_hubs_makes_no_bundle_of_the_hub(case: Case) -> None:
    edge, hub = case.machine.edge, case.city.hub
    own = _of(case, lambda ca, key, now: edge_certificate(ca, new_csr(key, "m"), hub, edge, now))(case)
    certificates, key = own
    foreign, foreign_key = _another_root(case)
    root = certificates[2][:-1] + bytes([certificates[2][-1] ^ 1])  # which its own key has not signed like that
    chains = [
        ("the exporter is not the hub", certificates, key),
        ("does not lead to the root", [foreign[0], *certificates[1:]], foreign_key),
        ("does not lead to the root", [*certificates[:2], root], key),
        ("three certificates", certificates[:2], key),
        ("cannot be read", [certificates[0][:-1], *certificates[1:]], key),
    ]
    for reason, chain, signing in chains:
        def exchange(lines: list[Line], chain: list[bytes] = chain) -> None:
            lines[0][1]["certificates"] = [base64.b64encode(one).decode() for one in chain]

        refused = refusal(forged(case.file, exchange, signing))
        assert (refused.subject, reason in refused.reason) == ("header", True), refused


def test_a_machine_cannot_sign_as_another_machine(case: Case) -> None:
    edge, hub = case.machine.edge, case.city.hub
    chain, key = _of(case, lambda ca, key, now: edge_certificate(ca, new_csr(key, "m"), hub, edge, now))(case)

    def exchange(lines: list[Line]) -> None:
        lines[0][1].update({"certificates": [base64.b64encode(one).decode() for one in chain], "edge": str(case.other.edge)})

    refused = refusal(forged(case.file, exchange, key))
    assert f"the exporter is not machine {case.other.edge}" in refused.reason


def test_a_root_of_another_hub_is_found(case: Case) -> None:
    def other_hub(lines: list[Line]) -> None:
        other = str(uuid4())
        lines[0][1]["log_key"] = str(NoteKey(f"suozhan.hub/{other}/1", case.city.keys.log.public_key))
        lines[0][1]["hub"] = other

    assert "header: the root is not that of hub" in case_header(case, other_hub)


def case_header(case: Case, change: Callable[[list[Line]], None]) -> str:
    refused = refusal(forged(case.file, change, case.key))
    return f"{refused.subject}: {refused.reason}"


def test_an_expired_certificate_changes_nothing_and_is_told(case: Case) -> None:
    report = verify_bundle(case.file)
    assert report.refusal is None
    ten_years = case.city.clock.unix_ms() + 10 * 365 * 24 * 3600 * 1000
    assert any("it has expired since, which changes nothing" in line for line in text_of(report, ten_years))
    assert not any("expired" in line for line in text_of(report, case.city.clock.unix_ms()))

    def late(lines: list[Line]) -> None:
        lines[0][1]["exported_ms"] = ten_years

    late_report = verify_bundle(forged(case.file, late, case.key))
    assert late_report.refusal is None
    assert any("NOT VALID when the file was made" in line for line in text_of(late_report, ten_years))


def test_whoever_lies_about_the_machine_in_the_header_lies_in_vain(case: Case) -> None:
    def control(lines: list[Line]) -> None:
        lines[0][1]["by"] = "x\x1b[2J"

    def newer(lines: list[Line]) -> None:
        lines[0][1]["format"] = "suozhan/bundle/v2"

    assert "header: its field 'by'" in case_header(case, control)
    assert "get a newer suozhan-verify" in case_header(case, newer)
