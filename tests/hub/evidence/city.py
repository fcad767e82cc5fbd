"""A founded hub with machines and records in its ledger, and its checkpoint; all real, and made in a blink."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.demo.processes import free_port
from hub.evidence.handing_out import Request, hand_out
from hub.evidence.selection import Selection
from hub.founding import found_hub
from hub.keys import load_keys
from hub.ledger.high_water import HighWater
from hub.ledger.own_journal import OwnJournal
from hub.ledger.runs import Arrival
from hub.ledger.store import Ledger
from hub.ledger.transparency import TransparencyLog
from hub.state import HubConfig, HubState
from security.bundle.reader import verify_bundle
from security.bundle.report import Report
from security.chain import Genesis, leaf_hashes
from security.record import ClearBody, Record, SealedBody, Times, sign_link
from security.run import Run
from security.signer import Ed25519Signer
from security.suites import Suite
from tests.spine import HandClock


@dataclass
class Machine:
    """One with a journal."""

    site: str
    edge: UUID = field(default_factory=uuid4)
    journal: UUID = field(default_factory=uuid4)
    signer: Ed25519Signer = field(default_factory=lambda: Ed25519Signer(Ed25519PrivateKey.generate()))

    @property
    def genesis(self) -> Genesis:
        return Genesis(self.edge, self.journal, Suite.ED25519_SHA256, self.signer.public_key)

    def run(self, position: int, digest: bytes, count: int) -> tuple[Run, list[bytes]]:
        """Records behind a head, and their digests."""
        links, previous = [], digest
        for at in range(position + 1, position + count + 1):
            sealed = SealedBody(1, at, 0, bytes([at % 256]) * 40)
            record = Record(uuid4(), self.edge, self.journal, at, "transaction", Times(1, 1, bytes(16), 1), False, sealed)
            links.append(sign_link(self.signer, previous, record.payload()))
            previous = links[-1].digest
        run = Run(position + 1, digest, [one.payload for one in links], [one.signature for one in links])
        return run, [one.digest for one in links]


class City:
    """A hub's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.state = HubState(folder / "hub")
        config = HubConfig(hub=uuid4(), hosts=["127.0.0.1"], listen="127.0.0.1", work_port=free_port(), enrol_port=free_port(),
                           api_port=free_port())
        found_hub(self.state, config, folder / "root.key", "a passphrase", lambda: None, self.clock)
        self.hub = config.hub
        self.keys = load_keys(self.state.keys)
        self.own = OwnJournal(self.state.database, self.hub, self.keys.record, self.clock)

    def machine(self, site: str = "A01") -> Machine:
        machine = Machine(site)
        self.own.register_machine([("business", machine.genesis)], site)
        return machine

    def append(self, machine: Machine, count: int) -> None:
        """As one batch."""
        self.clock.now_ms += 1_000
        with Ledger(self.state.database) as ledger:
            head = ledger.journal(machine.journal)
            run, digests = machine.run(head.position, head.digest, count)
            leaves = leaf_hashes(machine.signer.key_id, machine.journal.bytes, run.first, digests, run.signatures,
                                 self.clock.now_ms)
            ledger.append([Arrival(machine.journal, run, digests, leaves, self.clock.now_ms)])

    def log(self) -> TransparencyLog:
        return TransparencyLog(self.state.database, HighWater(self.state.high_water), self.hub, self.keys.log, self.clock)

    def publish(self) -> None:
        """A checkpoint over all there is."""
        assert self.log().begin() is not None

    def export(self, name: str, selection: Selection | None = None) -> tuple[Path, Report]:
        file = self.folder / name
        request = Request(selection or Selection(), "周敏", "case 2026-118")
        return file, verify_bundle(file, hand_out(self.state, file, request, self.clock, wait_s=0))


def own_record(city: City, kind: str, body: bytes, position: int) -> bytes:
    """A payload as the hub would write it in its own journal."""
    return Record(uuid4(), city.hub, city.hub, position, kind, Times(1, 1, bytes(16), 1), False, ClearBody(body)).payload()
