"""The check of a bundle, part after part: whatever it accepts is proved by what came before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from security.bundle.entries import Entry, Journal, Proof, Range
from security.bundle.exporter import Exporter, exporter_of
from security.bundle.header import CheckpointNote, Epoch, Header
from security.bundle.journal_check import ASK, CoveredJournal, JournalCheck
from security.bundle.lines import SIGNATURE_KIND
from security.bundle.log_check import LogCheck
from security.bundle.missing import Missing, Why
from security.bundle.parts import Part
from security.bundle.register import Register, Registration
from security.bundle.unproved import Unproved
from security.certificates import BadCertificate
from security.log_epoch import epoch_of
from security.note import NoteKey

JOURNALS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Trust:
    """What the verifier knows by another way than the bundle: the pin of the hub's root (32 bytes), the key of its log."""

    pin: bytes | None = None
    log_key: NoteKey | None = None


class BundleCheck:
    """`take` every part, then `end`; both raise Unproved at the first thing that is not proved. Holds little of what passed."""

    def __init__(self, header: Header, trust: Trust) -> None:
        """Raises Unproved."""
        self.header = header
        self.exporter = _exporter(header, trust)
        self.log = LogCheck(header.hub, _log_key(header, trust))
        self.entries = 0
        self._register = Register()
        self._journal: JournalCheck | None = None
        self._now: Journal | None = None
        self._seen: dict[bytes, CoveredJournal | None] = {}

    def take(self, part: Part) -> None:
        match part:
            case Epoch():
                self._require_beginning()
                self.log.take_epoch(part)
            case CheckpointNote():
                self._require_one_checkpoint()
                self.log.take_checkpoint(part)
            case Journal():
                self._begin(part)
            case Range():
                self._journal_now().take_range(part)
            case Entry():
                self._take_entry(part)
            case Proof():
                self._journal_now().take_proof(part)
            case Missing():
                self._take_missing(part)
            case Header():
                raise Unproved(f"a bundle has one header; {ASK}")

    def end(self) -> None:
        """No part comes behind."""
        self._close()

    def journals(self) -> Sequence[CoveredJournal]:
        """What is proved so far."""
        covered = [one for one in self._seen.values() if one is not None]
        return covered + ([self._journal.covered()] if self._journal is not None else [])

    def subject(self, kind: str) -> str:
        """What the next line is, if it is of this kind."""
        if self._journal is None or self._now is None or kind == SIGNATURE_KIND:
            return kind or "what comes before the entries"
        journal, position = f"journal {self._now.journal}", self._journal.position
        match kind:
            case "entry" | "missing":
                return f"{journal}, position {position + 1}"
            case "proof":
                return f"{journal}, position {position}, its proof"
            case "journal" | "checkpoint" | "epoch" | "range":
                return f"{kind}, behind {journal}, position {position}"
            case _:
                return f"{journal}, what comes behind position {position}"

    def subject_of(self, error: Unproved, kind: str) -> str:
        """What is not proved."""
        if error.position and self._now is not None:
            return f"journal {self._now.journal}, position {error.position}"
        return self.subject(kind)

    def _begin(self, part: Journal) -> None:
        self._close()
        if part.journal.bytes in self._seen or len(self._seen) >= JOURNALS_MAX:
            raise Unproved(f"journal {part.journal} came before, or there are more than {JOURNALS_MAX}; {ASK}")
        registration = self._registration(part)
        self._seen[part.journal.bytes] = None
        self._journal = JournalCheck(part, registration, self.log, complete=self._by_hub)
        self._now = part

    def _registration(self, part: Journal) -> Registration | None:
        own = part.journal == self.header.hub
        if own and (part.edge != self.header.hub or part.registered is not None or not self._by_hub):
            raise Unproved(f"the hub's own journal cannot be like that; {ASK}")
        if own or (part.registered is None and not self._by_hub):
            return None
        return self._register.check_registered(part)

    def _take_entry(self, part: Entry) -> None:
        record = self._journal_now().take_entry(part)
        self.entries += 1
        if record.journal == self.header.hub:
            self._register.take(record)

    def _take_missing(self, part: Missing) -> None:
        journal = self._journal_now()
        if self._by_hub != (part.why is Why.HOLE) or (part.accepted is None) != (part.why is not Why.HOLE):
            raise Unproved(f"records are {part.why} here, which its exporter cannot say; {ASK}")
        assert self._now is not None
        self._register.check_hole(self._now, part)
        journal.take_missing(part)

    def _journal_now(self) -> JournalCheck:
        if self._journal is None:
            raise Unproved(f"no journal comes before it; {ASK}")
        return self._journal

    def _close(self) -> None:
        if self._journal is not None and self._now is not None:
            self._journal.close()
            self._seen[self._now.journal.bytes] = self._journal.covered()
            self._journal = None

    def _require_beginning(self) -> None:
        if self._journal is not None or self.log.checkpoint is not None:
            raise Unproved(f"epochs come before checkpoints and journals; {ASK}")

    def _require_one_checkpoint(self) -> None:
        if self._by_hub and (self.log.checkpoint is not None or not self.log.epochs):
            raise Unproved(f"a hub's bundle has all epochs and then one checkpoint; {ASK}")

    @property
    def _by_hub(self) -> bool:
        return self.header.edge is None


def _exporter(header: Header, trust: Trust) -> Exporter:
    try:
        exporter = exporter_of(header)
    except BadCertificate as error:
        raise Unproved(str(error)) from error
    if trust.pin is not None and exporter.pin != trust.pin:
        raise Unproved(f"the root's key has the pin {exporter.pin.hex()} and not the one that was given: another hub made this "
                       f"bundle, or somebody who wants to be taken for this one; {ASK}")
    return exporter


def _log_key(header: Header, trust: Trust) -> bytes:
    if not epoch_of(header.log_key.name, header.hub):
        raise Unproved(f"its log key is of another hub; {ASK}")
    pinned = trust.log_key
    if pinned is not None and (pinned.public_key != header.log_key.public_key or not epoch_of(pinned.name, header.hub)):
        raise Unproved(f"the log's key is not the one that was given; {ASK}")
    return header.log_key.public_key
