"""A flipped bit in each page of two small journals and of a small ledger, in turn.

Of a journal no wrong record is ever delivered, all but what lay in the page is, by a successor if need be, and the counter goes
on. Of the ledger `suozhan-hub verify` names the damage, or all entries are what they were.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from uuid import UUID

from deploy.demo.processes import CHECKOUT, DemoFailed
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Damaged, Entry
from hub.ledger.verify import LedgerCheck
from tests.soak.check import EVERYTHING, Broken, read_books, wait_until_proved
from tests.soak.counter import Counter, Said
from tests.soak.events import note
from tests.soak.result import Result
from tests.soak.rounds import Campaign, Outcome, Round, Rounds
from tests.soak.succession import approve, begun, wait_until_carried
from tests.soak.world import Template, World

NAME = "bitflip"
BROKE = "a flipped bit in each page of two small journals and of a small ledger, in turn"
PAGE_BYTES = 4096
BITS_A_PAGE = 3
DELIVERED, QUEUED = 100, 50
NEW = 3  # submissions to the damaged machine
LOST_MAX = {"edge": 10, "events": 0}  # transactions that fit into a page
QUIET_S = 1.5
LISTENS_MAX_S = 20.0
COMMAND_MAX_S = 60.0


@dataclass(frozen=True)
class Base:
    """State folders that every round begins with, and what must come of them: each journal's id and digests, by the side that is
    hit, and the ledger's entries.
    """

    template: Template
    said: Sequence[Said]
    journals: dict[str, tuple[UUID, Sequence[bytes]]]
    entries: Sequence[Entry]
    pages: dict[str, int]

    def plans(self) -> list[tuple[str, int]]:
        """(side, page), each page several times."""
        return [(side, page) for side, count in self.pages.items() for page in range(count) for _ in range(BITS_A_PAGE)]


def run(folder: Path, seed: int, rounds: Rounds) -> Result:
    campaign = Campaign(NAME, BROKE, folder, seed, rounds)
    bases: list[Base] = []
    campaign.play([0], lambda one: _prepare(one, folder / "base", bases), "preparation")
    if bases:
        plans = bases[0].plans()
        campaign.play(rounds.of(len(plans), seed), lambda one: _round(one, bases[0], *plans[one.number]))
    return campaign.result()


def _prepare(one: Round, folder: Path, bases: list[Base]) -> Outcome:
    """So many records delivered and proved, so many more not; all in the databases, nothing in a write-ahead log."""
    shutil.rmtree(folder, ignore_errors=True)
    with World(one.template, folder, one.ports) as world:
        counter = Counter(world)
        note(world, DELIVERED)
        world.start()
        counter.submit(DELIVERED)
        wait_until_proved(world)
        world.hub.stop()
        counter.submit(QUEUED)
        world.stop()
        note(world, QUEUED)
        sides = dict(zip(("edge", "events"), world.journals.items(), strict=True))
        databases = {"hub": world.hub_db, **{side: path for side, (_, path) in sides.items()}}
        assert not [path for path in databases.values() if Path(f"{path}-wal").exists()]
        template = Template(folder)
        template.hub, template.edge, template.token = world.hub_state, world.edge_state, one.template.token
        journals = {side: (journal, [digest for _, digest in read_books(path, b"").digests])
                    for side, (journal, path) in sides.items()}
        with LedgerReader(world.hub_db, readonly=True) as ledger:
            entries = ledger.feed(*EVERYTHING)
        pages = {side: path.stat().st_size // PAGE_BYTES for side, path in databases.items()}
        for path in databases.values():  # of our own looking
            Path(f"{path}-wal").unlink(missing_ok=True)
            Path(f"{path}-shm").unlink(missing_ok=True)
        bases.append(Base(template, counter.said, journals, entries, pages))
    return Outcome(0, 0)


def _round(one: Round, base: Base, side: str, page: int) -> Outcome:
    with World(base.template, one.folder, one.ports) as world:
        if side == "hub":
            return Outcome(len(base.entries), 1, _ledger(world, base, _flip(world.hub_db, page, one.random)))
        journal, digests = base.journals[side]
        return Outcome(len(digests), 1, _journal(world, base, side, _flip(world.journals[journal], page, one.random)))


def _flip(path: Path, page: int, random: Random) -> str:
    at, bit = page * PAGE_BYTES + random.randrange(PAGE_BYTES), random.randrange(8)
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))
    return f"{path.name}, page {page + 1}, byte {at % PAGE_BYTES}, bit {bit}"


def _journal(world: World, base: Base, side: str, where: str) -> Tally[str]:
    """Delivered, or carried by a successor that somebody approves; what is lost lay in that page."""
    named = _command(world, "edge", where)
    counter = Counter(world)
    world.hub.start()
    try:
        world.edge.start()
    except DemoFailed as error:
        raise Broken([f"{where}: {error}"]) from error
    served = counter.attempt(NEW)
    _until_quiet(world)
    if succeeded := begun(world):
        approve(world)
    lost = wait_until_carried(world, [*base.said, *counter.said], LOST_MAX[side]) if succeeded or not served else 0
    told = succeeded or bool(list(world.edge_state.glob("alarms/*.json")))
    world.stop()
    journal, digests = base.journals[side]
    delivered, badly_signed = _delivered(world, journal, digests, where)
    if delivered < len(digests) and not (named and told):
        raise Broken([f"{where}: {delivered} of {len(digests)} records were delivered, and nobody is told why"])
    if served < NEW and not told:
        raise Broken([f"{where}: the counter was not served: {dict(counter.refused)}"])
    if badly_signed and not named:
        raise Broken([f"{where}: a damaged signature was delivered, and the machine's verify finds nothing"])
    return Tally({"journal: damage named": int(named), "journal: all delivered in it": int(delivered == len(digests)),
                  "journal: carried by a successor": int(succeeded), "journal: transactions lost with their page": lost,
                  "journal: a damaged signature delivered, named on both sides": badly_signed})


def _delivered(world: World, journal: UUID, digests: Sequence[bytes], where: str) -> tuple[int, int]:
    """Records of the damaged journal in the ledger, and signatures there that do not hold. Raises Broken for a wrong record."""
    with LedgerReader(world.hub_db, readonly=True) as ledger:
        findings = list(LedgerCheck(ledger).findings())
        if damage := [finding for finding in findings if finding.damage]:
            raise Broken([f"{where}: the ledger took it: {damage[0].where}: {damage[0].reason}"])
        entries = [one for one in ledger.feed(*EVERYTHING) if one.journal == journal]
    if [one.digest for one in entries[:len(digests)]] != list(digests[:len(entries)]):
        raise Broken([f"{where}: a wrong record was delivered"])
    return min(len(entries), len(digests)), len(findings)


def _ledger(world: World, base: Base, where: str) -> Tally[str]:
    named = _command(world, "hub", where)
    try:
        with LedgerReader(world.hub_db, readonly=True) as ledger:
            same = ledger.feed(*EVERYTHING) == list(base.entries)
    except (Damaged, sqlite3.DatabaseError, UnicodeDecodeError):  # the last: a schema that SQLite quotes
        same = False
    if not named and not same:
        raise Broken([f"{where}: verify finds nothing, and the entries are not what they were"])
    return Tally({"ledger: damage named": int(named), "ledger: nothing that verify looks at was hit": int(not named)})


def _command(world: World, side: str, where: str) -> bool:
    """`verify` of that side: whether it has named anything. Raises Broken for a traceback."""
    state = world.edge_state if side == "edge" else world.hub_state
    done = subprocess.run([sys.executable, "-m", f"{side}.command", "--state", str(state), "verify"], cwd=CHECKOUT, check=False,
                          capture_output=True, text=True, timeout=COMMAND_MAX_S)
    if "Traceback" in done.stderr:
        raise Broken([f"{where}: verify ended with a traceback: {done.stderr.strip().splitlines()[-1]}"])
    return done.returncode != 0


def _until_quiet(world: World) -> None:
    until, quiet, before = time.monotonic() + LISTENS_MAX_S, time.monotonic(), -1
    while time.monotonic() < min(until, quiet + QUIET_S):
        with LedgerReader(world.hub_db, readonly=True) as ledger:
            size = ledger.size()
        if size != before:
            quiet, before = time.monotonic(), size
        time.sleep(0.1)
