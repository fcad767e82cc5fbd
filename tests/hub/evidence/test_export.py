"""`suozhan-hub export`: what was asked for, all of it proved, and noted in the ledger (invariant 6)."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.demo.processes import CHECKOUT, DemoFailed, Service, command
from hub.backup import back_up
from hub.evidence import export as export_module
from hub.evidence import handing_out
from hub.evidence.handing_out import Request
from hub.evidence.selection import EvidenceRefused, NotCovered, Selection
from hub.ledger.hole import Hole
from hub.ledger.own_journal import LISTED_MAX
from hub.ledger.store import Ledger
from hub.restore import Said, reopen, restore
from security.bundle.reader import verify_bundle
from security.bundle.writer import BundleExists
from security.record import ClearBody, parse_record
from security.verifier.report_text import text_of
from tests.hub.evidence.city import City, Machine
from tests.security.bundle.forger import forged, numbers, proved, refusal
from tests.spine import HandClock, damage

BY = ("--by", "周敏", "--reason", "case 2026-118")


@pytest.fixture
def city(tmp_path: Path) -> City:
    return City(tmp_path)


def _exported(city: City) -> list[dict[str, object]]:
    """What the hub's own journal says of exports."""
    with Ledger(city.state.database) as ledger:
        records = [parse_record(entry.payload) for entry in ledger.entries(ledger.journal(city.hub), 0)]
    return [json.loads(one.content.data) for one in records
            if one.kind == "evidence.exported" and isinstance(one.content, ClearBody)]


def test_a_ledger_a_site_a_range_and_a_record_are_exported_and_proved(city: City) -> None:
    first, second, third = city.machine("A01"), city.machine("B02"), city.machine("A01")
    for machine, count in ((first, 4), (second, 3), (third, 2), (first, 3)):
        city.append(machine, count)
    city.publish()

    def of(name: str, selection: Selection) -> list[str]:
        file, report = city.export(name, selection)
        assert report.refusal is None
        assert verify_bundle(file).refusal is None
        return proved(report)

    assert of("all", Selection()) == ["1-3:own proof", "1-7:own proof", "1-3:own proof", "1-2:own proof"]
    assert of("site", Selection(site="A01")) == ["1-1:own proof", "3-3:own proof", "1-7:own proof", "1-2:own proof"]
    assert of("journal", Selection(second.journal)) == ["2-2:own proof", "1-3:own proof"]
    assert of("range", Selection(first.journal, 3, 6)) == ["1-1:own proof", "3-6:own proof"]
    assert of("record", Selection.of_record(f"{first.journal}/5")) == ["1-1:own proof", "5-5:own proof"]
    assert of("own", Selection(city.hub, 2)) == ["2-3:own proof"]


def test_an_export_stands_in_the_ledger_before_its_file_has_a_name(city: City) -> None:
    machine = city.machine()
    city.append(machine, 2)
    city.publish()
    file, report = city.export("a.bundle", Selection(machine.journal))
    assert _exported(city) == [{
        "by": "周敏", "reason": "case 2026-118", "scope": f"journal {machine.journal}, from position 1 on", "file": "a.bundle",
        "entries": 3, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}]
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(BundleExists):
        city.export("a.bundle")
    assert len(_exported(city)) == 1
    assert report.header is not None
    assert sorted(path.name for path in city.folder.iterdir()) == ["a.bundle", "hub", "root.key"]


@pytest.mark.parametrize(("years", "words", "others"), [(6, "renew-authority", "a root is never renewed"),
                                                        (21, "a root is never renewed", "renew-authority")])
def test_what_follows_a_certificate_that_has_ended_is_said_of_that_one(city: City, years: int, words: str, others: str) -> None:
    city.append(city.machine(), 2)
    city.publish()
    city.clock.now_ms += years * 365 * 86_400_000
    with pytest.raises(EvidenceRefused, match=words) as refused:
        city.export("a.bundle")
    assert others not in str(refused.value)


@pytest.mark.parametrize("clock_ms", [0, HandClock().now_ms + 6 * 365 * 86_400_000], ids=["1970", "six years ahead"])
def test_with_a_clock_at_which_nobody_could_verify_it_nothing_is_exported_and_the_clock_is_named(
    city: City, clock_ms: int
) -> None:
    city.append(city.machine(), 2)
    city.publish()
    _, before = city.export("a.bundle")
    assert before.refusal is None
    served, right_ms = (city.state.tls / "server.pem").read_bytes(), city.clock.now_ms
    city.clock.now_ms = clock_ms
    with pytest.raises(EvidenceRefused, match=r"this machine's clock says .* Set the clock and export again"):
        city.export("b.bundle")
    assert (city.state.tls / "server.pem").read_bytes() == served
    assert len(_exported(city)) == 1
    assert not (city.folder / "b.bundle").exists()
    city.clock.now_ms = right_ms
    assert city.export("b.bundle")[1].refusal is None


def test_a_bundle_of_a_hub_whose_clock_was_wrong_says_so_when_it_is_refused(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an earlier hub made them."""
    city.append(city.machine(), 2)
    city.publish()
    monkeypatch.setattr(handing_out, "_require_valid", lambda *_: None)
    city.clock.now_ms += 6 * 365 * 86_400_000
    _, report = city.export("a.bundle")
    assert report.refusal is not None
    assert "the clock of whoever issued the last one was probably wrong" in report.refusal.reason
    assert "lead to the root" not in report.refusal.reason


def test_what_is_not_there_or_not_covered_yet_is_refused_and_leaves_nothing(city: City) -> None:
    machine = city.machine()
    city.append(machine, 2)
    with pytest.raises(EvidenceRefused, match="nothing is signed in this ledger yet"):
        city.export("a.bundle")
    city.publish()
    city.append(machine, 1)
    for selection in (Selection(machine.journal, 1, 3), Selection(machine.journal, 3)):
        with pytest.raises(NotCovered, match="no checkpoint covers it yet"):
            city.export("a.bundle", selection)
    for selection in (Selection(machine.journal, 1, 9), Selection(machine.journal, 4), Selection(site="C03")):
        with pytest.raises(EvidenceRefused, match="the ledger holds no such record"):
            city.export("a.bundle", selection)
    with pytest.raises(EvidenceRefused, match="is not registered here"):
        city.export("a.bundle", Selection(uuid4()))
    _, report = city.export("b.bundle", Selection(machine.journal))
    assert proved(report) == ["1-1:own proof", "1-2:own proof"]
    assert sorted(path.name for path in city.folder.iterdir()) == ["b.bundle", "hub", "root.key"]
    assert len(_exported(city)) == 1


def test_what_cannot_be_meant_is_refused() -> None:
    journal = uuid4()
    for arguments in ({"journal": journal, "site": "A01"}, {"first": 2}, {"last": 2}, {"journal": journal, "first": 0},
                      {"journal": journal, "first": 3, "last": 2}):
        with pytest.raises(EvidenceRefused):
            Selection(**arguments)  # type: ignore[arg-type]
    for text in ("", "x/1", f"{journal}", f"{journal}/", f"{journal}/0", f"{journal}/1.5"):
        with pytest.raises(EvidenceRefused):
            Selection.of_record(text)
    for by, reason in (("", "x"), ("x", " "), ("x\ny", "z"), ("x", "\x1b[2J")):
        with pytest.raises(EvidenceRefused, match="give --by and --reason"):
            Request(Selection(), by, reason)


def test_of_many_entries_some_have_proofs_and_the_report_says_which(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "PROVED_EACH_MAX", 20)
    monkeypatch.setattr(export_module, "PROVED_EVERY", 10)
    machine = city.machine()
    city.append(machine, 25)
    city.publish()
    _, report = city.export("many.bundle", Selection(machine.journal))
    assert proved(report)[1] == ("1-9:chain>10 10-10:own proof 11-19:chain>20 20-20:own proof 21-24:chain>25 "
                                 "25-25:own proof")
    text = "\n".join(text_of(report, city.clock.unix_ms()))
    assert "positions 11 to 19: by the chain to position 20" in text
    assert "position 25: proved by its own proof: index 25, arrived" in text


def _with_hole(city: City, records: int) -> Machine:
    """Two records, a hole, two records."""
    machine = city.machine()
    city.append(machine, 2)
    with Ledger(city.state.database) as ledger:
        head = ledger.journal(machine.journal)
    _, digests = machine.run(head.position, head.digest, records)
    hole = Hole(head.position + 1, head.digest, digests, [uuid4() for _ in digests], 7)
    city.own.accept_hole(machine.journal, hole, {"id": 7, "by": "周敏", "reason": "both backups are gone"})
    city.append(machine, 2)
    city.publish()
    return machine


def test_a_hole_is_told_and_who_accepted_it_is_proved(city: City) -> None:
    records = LISTED_MAX + 5
    machine = _with_hole(city, records)
    file, report = city.export("hole.bundle")
    own, of_machine = proved(report)
    assert own == "1-3:own proof"
    assert of_machine == (f"1-2:own proof 3-{LISTED_MAX + 2}:hole>2 {LISTED_MAX + 3}-{records + 2}:hole>3 "
                          f"{records + 3}-{records + 4}:own proof")
    text = "\n".join(text_of(report, 0))
    assert "a hole: lost, and accepted in position 3 of the hub's own journal" in text
    assert f"Not all records are here, from position 1 to {records + 4}" in text
    for first, last in ((4, 4), (2, 10), (LISTED_MAX, None)):
        _, part = city.export(f"{first}.bundle", Selection(machine.journal, first, last))
        assert part.refusal is None
        assert f"3-{LISTED_MAX + 2}:hole>2" in proved(part)[-1]

    def other_digest(lines: list[tuple[str, dict[str, object]]]) -> None:
        hole = lines[numbers(lines, "missing")[0]][1]
        assert isinstance(hole["records"], list)
        hole["records"][5]["digest"] = hole["records"][6]["digest"]

    refused = refusal(forged(file, other_digest))
    assert refused.subject == f"journal {machine.journal}, position 3"
    assert "no record of the hub in this bundle accepts this hole" in refused.reason


def test_a_hole_that_was_accepted_in_several_is_told_whole(city: City) -> None:
    machine = city.machine()
    city.append(machine, 2)
    for _ in range(2):
        with Ledger(city.state.database) as ledger:
            head = ledger.journal(machine.journal)
        _, digests = machine.run(head.position, head.digest, 2)
        city.own.accept_hole(machine.journal, Hole(head.position + 1, head.digest, digests, [uuid4(), uuid4()], 7), {"id": 7})
    city.append(machine, 1)
    city.publish()
    for last, expected in ((None, "1-2:own proof 3-4:hole>2 5-6:hole>3 7-7:own proof"), (3, "1-2:own proof 3-4:hole>2")):
        _, report = city.export(f"{last}.bundle", Selection(machine.journal, 1, last))
        assert report.refusal is None
        assert proved(report)[-1] == expected


def test_what_stands_before_a_hole_has_a_proof_of_its_own(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few have one: no chain leads over a hole."""
    monkeypatch.setattr(export_module, "PROVED_EACH_MAX", 0)
    _with_hole(city, 3)
    _, report = city.export("hole.bundle")
    assert report.refusal is None
    assert proved(report) == ["1-1:chain>2 2-2:own proof", "1-1:chain>2 2-2:own proof 3-5:hole>2 6-6:chain>7 7-7:own proof"]


def test_a_damaged_entry_is_exported_and_named(city: City) -> None:
    """Evidence is not held back because the hub's disk is bad."""
    machine = city.machine()
    city.append(machine, 3)
    city.publish()
    cut = "CAST(substr(payloads, 1, length(payloads) - 1) || x'00' AS BLOB)"
    damage(city.state.database, f"UPDATE runs SET payloads = {cut} WHERE idx = 1")
    file, report = city.export("damaged.bundle", Selection(machine.journal))
    assert report.signed
    assert report.refusal is not None
    assert report.refusal.subject == f"journal {machine.journal}, position 3"
    assert file.exists()


def test_all_epochs_of_the_log_are_in_it(city: City) -> None:
    machine = city.machine()
    city.append(machine, 2)
    city.publish()
    city.log().open_epoch()
    city.append(machine, 2)
    city.publish()
    _, report = city.export("epochs.bundle")
    assert report.refusal is None
    assert [(one.number, one.base_size, one.last_size) for one in report.epochs] == [(1, 0, None), (2, 3, 3)]
    assert report.checkpoint is not None
    assert report.checkpoint.origin.endswith("/2")


def test_an_epoch_whose_statement_was_lost_in_a_restore_is_told_and_stops_no_export(city: City) -> None:
    """The database is older than the epochs since, and the decision log is gone; only the mark knows how many there were."""
    city.publish()
    back_up(city.state.database, city.folder / "backup.db")
    for _ in range(2):
        reopen(city.state, city.clock, Said("周敏", "x"))
        city.publish()
    (city.state.root / "decisions.db").unlink()
    assert restore(city.state, city.folder / "backup.db", city.clock, Said("周敏", "x")).epoch.number == 4
    city.publish()
    _, report = city.export("epochs.bundle")
    assert report.refusal is None
    assert [one.number for one in report.epochs] == [1, 4]
    assert "NOT HERE: what the hub stated of epochs 2 to 3" in "\n".join(text_of(report, 0))


def _verify(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "security.verifier", *arguments], cwd=CHECKOUT, capture_output=True, text=True,
                          timeout=60, check=False)


def test_the_command_waits_for_a_checkpoint_beside_a_running_hub_and_works_on_a_stopped_one(city: City, tmp_path: Path) -> None:
    service = Service("hub", city.state.root, tmp_path / "hub.log")
    service.start()
    try:
        machine = city.machine()
        city.append(machine, 3)
        file = tmp_path / "running.bundle"
        said = command("hub", city.state.root, "export", str(file), "--record", f"{machine.journal}/3", *BY)
    finally:
        assert service.stop() == 0
    pin = said.splitlines()[-1]
    done = _verify(str(file), "--pin", pin)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "PROVED: all 2 records in this bundle, as listed below.")
    stopped = tmp_path / "stopped.bundle"
    command("hub", city.state.root, "export", str(stopped), "--journal", str(machine.journal), "--from", "2", "--to", "3", *BY)
    assert _verify(str(stopped), "--pin", pin, "--json").returncode == 0
    with pytest.raises(DemoFailed, match=r"stopped\.bundle exists already; name a new file"):
        command("hub", city.state.root, "export", str(stopped), *BY)
    with pytest.raises(DemoFailed, match=r"there is no folder .*/stick; make it, or mount its disk"):
        command("hub", city.state.root, "export", str(tmp_path / "stick" / "one.bundle"), *BY)
