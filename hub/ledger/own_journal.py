"""The hub's own journal: what the hub decides stands in the ledger by the same path as everything else.

And in the decision log, first: a record whose commit was lost, or that a database lacks which was put back, comes back before the
next one (invariants 2 and 11).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from uuid import UUID, uuid4

import structlog

from hub.ledger import decision_log
from hub.ledger.append_rule import Accept
from hub.ledger.batch_check import check_batch
from hub.ledger.decision_log import DecisionLog, DecisionsLost
from hub.ledger.hole import Hole
from hub.ledger.journal_head import JournalHead, UnknownJournal
from hub.ledger.runs import Arrival, Damaged
from hub.ledger.store import Ledger
from security.chain import Genesis, leaf_hashes
from security.clock import Clock
from security.record import CarriedRecord, ClearBody, Content, Link, Record, Times, sign_link
from security.run import Run
from security.signer import BadKey, Signer
from security.suites import Verifier

NAME = "hub"
CARRIED = "carried"
LISTED_MAX = 300  # of a hole in one record, which has to stay below PAYLOAD_MAX_BYTES
PAGE_RECORDS = 500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TakenBack:
    """How many records the database lacked and the decision log held; why there may have been others, "" if not."""

    count: int
    fault: str


@dataclass(slots=True)
class Deciding:
    """A transaction on the ledger, and what it appended to the hub's own journal; `logged`: the decision log gets that."""

    ledger: Ledger
    runs: list[tuple[Run, Sequence[bytes]]] = field(default_factory=list)
    logged: bool = False


class OwnJournal:
    """Synchronous; call it in a thread. Safe beside the ingest's writer: BEGIN IMMEDIATE keeps the order."""

    def __init__(self, path: Path, hub: UUID, signer: Signer, clock: Clock) -> None:
        self._path = path
        self._decisions = path.with_name(decision_log.NAME)
        self._hub = hub
        self._signer = signer
        self._clock = clock
        self._lost = ""  # why the decision log was begun anew, since this object was made

    @property
    def journal(self) -> UUID:
        """Its id, which is the hub's."""
        return self._hub

    @property
    def _genesis(self) -> Genesis:
        # The hub is the "edge" of its own journal, and its id names the journal.
        return Genesis(self._hub, self._hub, self._signer.suite, self._signer.public_key)

    def create(self) -> None:
        """Register the journal itself, and make its decision log; `init` calls this once."""
        with Ledger(self._path) as ledger, ledger.transaction():
            decision_log.create(self._decisions)
            ledger.register(NAME, self._genesis, self._clock.unix_ms())

    def register_machine(self, journals: Sequence[tuple[str, Genesis]], site: str) -> None:
        """Register a machine's journals, each with a record that says so, in one commit. A repeat changes nothing.

        A hub that invented a machine would show in its own ledger.
        """
        with Ledger(self._path) as ledger, self.transaction(ledger) as deciding:
            for name, genesis in journals:
                self._register(deciding, name, genesis, site)

    def succeed(self, journals: Sequence[tuple[str, Genesis]], site: str, said: dict[str, object],
                forgotten: Sequence[tuple[str, Genesis]] = ()) -> None:
        """End all journals of the machine whose journals these name as their predecessors, and register these: all in one commit.

        `forgotten` are journals before them, the oldest first, that a restored hub does not know: they are registered and end,
        too, so that what is carried out of them can be verified. `said` is who decided it and why. A repeat changes nothing.
        """
        with Ledger(self._path) as ledger, self.transaction(ledger) as deciding:
            for name, one in forgotten:
                self._register(deciding, name, one, site)
            ends = {one.edge for _, one in forgotten}
            for _, genesis in journals:
                with suppress(UnknownJournal):
                    ends |= {ledger.journal(genesis.predecessor).edge} if genesis.predecessor else set()
            for edge in sorted(ends):
                self._end(deciding, edge, journals, said)
            for name, genesis in journals:
                self._register(deciding, name, genesis, site)

    def _end(self, deciding: Deciding, edge: UUID, after: Sequence[tuple[str, Genesis]], said: dict[str, object]) -> None:
        """A machine that has not ended yet; `after` are the journals that go on, the first also for those that do not."""
        journals = [one for one in deciding.ledger.journals() if one.edge == edge and not one.closed]
        first = after[0][1]
        for old in journals:
            successor = dict(after).get(old.name, first).journal
            self._append(deciding, "journal.closed", {
                "journal": str(old.journal), "edge": str(old.edge), "position": old.position, "digest": old.digest.hex(),
                "successor": str(successor), **said})
            deciding.ledger.close(old.journal, f"journal {successor} follows it")
        if journals:
            self._append(deciding, "machine.revoked", {"edge": str(edge), "successor": str(first.edge), **said})

    def _register(self, deciding: Deciding, name: str, genesis: Genesis, site: str) -> None:
        if deciding.ledger.register(name, genesis, self._clock.unix_ms()):
            self._append(deciding, "key.registered", {
                "edge": str(genesis.edge), "site": site, "journal": str(genesis.journal), "name": name,
                "suite": int(genesis.suite), "public_key": genesis.public_key.hex(), "genesis": genesis.digest().hex(),
                **({"predecessor": str(genesis.predecessor)} if genesis.predecessor else {})})

    def note(self, kind: str, body: dict[str, object]) -> None:
        """What the hub decided or found, as a record in clear; never a resident's data."""
        with Ledger(self._path) as ledger, self.transaction(ledger) as deciding:
            self._append(deciding, kind, body)

    def take_back(self) -> TakenBack:
        """Records of this journal that the database lacks and the decision log holds, verbatim. A fault comes again until
        `fault_told`: who begins the log anew may die before people hear of it, and commands tell nobody.
        """
        with Ledger(self._path) as ledger, ledger.transaction():
            before = ledger.journal(self._hub).position
            self.catch_up(ledger)
            with DecisionLog(self._decisions) as decisions:
                lost = (self._lost or f"{self._decisions} was gone or damaged") if decisions.begun_anew() else ""
            return TakenBack(ledger.journal(self._hub).position - before, lost)

    def fault_told(self) -> None:
        """People know it, by an alarm."""
        with Ledger(self._path) as ledger, ledger.transaction(), DecisionLog(self._decisions) as decisions:
            decisions.told()
        self._lost = ""

    def catch_up(self, ledger: Ledger) -> bool:
        """Until the ledger and the decision log hold the same, as a part of the caller's transaction: a crash may have left it in
        the log only. One that is lost is put aside and begun anew. False where damage of the ledger does not let it.
        """
        try:
            return self._caught_up(ledger)
        except DecisionsLost as error:
            self._put_aside(str(error))
            return self._caught_up(ledger)

    def accept_hole(self, journal: UUID, hole: Hole, approval: dict[str, object],
                    found: Sequence[tuple[CarriedRecord, bool]] = ()) -> None:
        """Let a journal go on behind what is lost, with records that list every position, and carry what of it was found: all in
        one commit, so that a key stands before what it opens.
        """
        with Ledger(self._path) as ledger, self.transaction(ledger) as deciding:
            ledger.add_hole(journal, hole)
            for start in range(0, len(hole.ids), LISTED_MAX):
                end = min(start + LISTED_MAX, len(hole.ids))
                self._append(deciding, "hole.accepted", {
                    "journal": str(journal), "first": hole.first + start, "last": hole.first + end - 1, "approval": approval,
                    "records": [{"id": str(one), "digest": digest.hex()}
                                for one, digest in zip(hole.ids[start:end], hole.digests[start:end], strict=True)]})
            self.carry(deciding, found)

    def carry(self, deciding: Deciding, records: Sequence[tuple[CarriedRecord, bool]]) -> None:
        """Records that their own journal cannot take, verbatim, each with whether it is simulated."""
        self._append_all(deciding, CARRIED, records)

    @contextmanager
    def transaction(self, ledger: Ledger) -> Iterator[Deciding]:
        """One on the ledger. What is decided in it gets into the decision log at once, right before the commit: of one that
        fails, nothing is decided. A crash between the two is one of `take_back`.
        """
        with ledger.transaction():
            deciding = Deciding(ledger)
            yield deciding
            if deciding.logged:
                self._write_down(deciding)

    def _append(self, deciding: Deciding, kind: str, body: dict[str, object]) -> None:
        content = ClearBody(json.dumps(body, ensure_ascii=False, sort_keys=True).encode())
        self._append_all(deciding, kind, [(content, False)])

    def _append_all(self, deciding: Deciding, kind: str, contents: Sequence[tuple[Content, bool]]) -> None:
        """As one run."""
        if not contents:
            return
        ledger = deciding.ledger
        if not deciding.runs:
            deciding.logged = self.catch_up(ledger)
        held, now = ledger.journal(self._hub), self._clock.unix_ms()
        if not held.may_be_of(self._signer.public_key):  # what it signs here, nobody could ever verify
            raise BadKey("keys/record.key is not the key of the hub's own journal; put the right one back from a copy")
        times = Times(now, now, self._clock.boot_id, self._clock.boottime_ms())
        first, digest, links = held.position + 1, held.digest, list[Link]()
        for position, (content, simulated) in enumerate(contents, first):
            payload = Record(uuid4(), self._hub, self._hub, position, kind, times, simulated, content).payload()
            links.append(sign_link(self._signer, digest, payload))
            digest = links[-1].digest
        run = Run(first, held.digest, [one.payload for one in links], [one.signature for one in links])
        digests = [one.digest for one in links]
        self._put(ledger, run, digests)
        deciding.runs.append((run, digests))

    def _write_down(self, deciding: Deciding) -> None:
        """As one run: the log takes all of it or nothing. One whose triggers are damaged can be read and takes nothing."""
        runs = [run for run, _ in deciding.runs]
        whole = Run(runs[0].first, runs[0].previous, [one for run in runs for one in run.payloads],
                    [one for run in runs for one in run.signatures])
        try:
            with DecisionLog(self._decisions) as decisions:
                decisions.append(whole, [one for _, digests in deciding.runs for one in digests])
        except DecisionsLost as error:
            self._put_aside(str(error))
            self.catch_up(deciding.ledger)  # it is made out of the ledger, which has these runs by now

    def _put(self, ledger: Ledger, run: Run, digests: Sequence[bytes]) -> None:
        now = self._clock.unix_ms()
        leaves = leaf_hashes(self._signer.key_id, self._hub.bytes, run.first, digests, run.signatures, now)
        verdict = ledger.append_within(Arrival(self._hub, run, digests, leaves, now)).verdict
        if verdict != Accept(0):
            raise Damaged(f"the hub's own journal does not take its records ({verdict}); run: suozhan-hub verify")

    # ---- the decision log ----

    def _put_aside(self, reason: str) -> None:
        self._lost = self._lost or reason
        aside = decision_log.put_aside(self._decisions, self._clock.unix_ms())
        log.warning("the decision log is begun anew", reason=reason, aside=str(aside))

    def _caught_up(self, ledger: Ledger) -> bool:
        with DecisionLog(self._decisions) as decisions:
            try:
                self._catch_up(ledger, decisions)
            except DecisionsLost:
                raise
            except Damaged as error:  # what is decided now must still get into the ledger: an alarm of this very damage, for one
                log.warning("the decision log cannot follow a damaged ledger", error=str(error), next="suozhan-hub verify")
                return False
        return True

    def _catch_up(self, ledger: Ledger, decisions: DecisionLog) -> None:
        head, end = ledger.journal(self._hub), decisions.end()
        common = min(head.position, end)
        if common and not self._same(ledger, head, decisions, common):
            self._sound(ledger, head, common - 1, 1)  # else it is the ledger that is damaged
            raise DecisionsLost(f"{decisions.path} is of another history than the database at position {common}")
        if end < head.position:
            self._fill(decisions, ledger, head, end)  # of a hub that had no log yet, or has lost it
        while head.position < end:
            run = decisions.after(head.position, head.digest, PAGE_RECORDS)
            checked = check_batch(run, Verifier(head.suite, head.public_key), self._hub, self._hub)
            if checked.broken is not None or checked.digests[-1:] != [decisions.digest_at(run.last)]:
                raise DecisionsLost(f"{decisions.path} is damaged behind position {head.position}")
            self._put(ledger, run, checked.digests)
            log.warning("decisions that the database lacked were taken back", first=run.first, last=run.last)
            head = ledger.journal(self._hub)

    def _same(self, ledger: Ledger, head: JournalHead, decisions: DecisionLog, common: int) -> bool:
        """The head is asked first: where the newest entry is damaged, the log still goes on."""
        digest = decisions.digest_at(common)
        return (common == head.position and digest == head.digest) or digest == ledger.digest_at(head, common)

    def _fill(self, decisions: DecisionLog, ledger: Ledger, head: JournalHead, after: int) -> None:
        while after < head.position:
            run, digests = self._sound(ledger, head, after, PAGE_RECORDS)
            decisions.append(run, digests)
            after = run.last

    def _sound(self, ledger: Ledger, head: JournalHead, after: int, limit: int) -> tuple[Run, Sequence[bytes]]:
        """The ledger's next records behind a position, and their digests. Raises Damaged for what this hub has not signed."""
        page = list(islice(ledger.entries(head, after), limit))
        run = Run(after + 1, ledger.digest_at(head, after), [one.payload for one in page], [one.signature for one in page])
        checked = check_batch(run, Verifier(head.suite, head.public_key), self._hub, self._hub)
        if not page or checked.broken is not None or checked.digests != [one.digest for one in page]:
            raise Damaged(f"the hub's own journal is damaged behind position {after}; run: suozhan-hub verify")
        return run, checked.digests
