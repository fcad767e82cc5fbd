"""A spine whose machine has a whole state folder: what it exports to a file, and what its hub makes of that."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import sqlalchemy as sa

from edge.carry import Ask, Carrier
from edge.export import export_machine
from edge.identity import Identity, load_identity
from edge.journal import Journal, JournalLimits
from edge.journal_store import create_journal
from edge.receipt_store import ReceiptStore
from edge.settlement import Held
from edge.state import IdentityFolder, JournalFiles, StateFolder
from edge.succession import read_succession
from hub.attention.approvals import Approvals
from hub.database import open_engine
from hub.enrolment.authority import HubAuthority, create_authority, load_authority
from hub.enrolment.sites import add_site
from hub.enrolment.tables import edges
from hub.imports.importing import Hub, import_file
from hub.imports.journal_import import Imported
from hub.imports.order import Order
from hub.ledger.predecessors import Predecessors
from hub.ledger.store import Ledger
from hub.migrate import create
from hub.projection.projector import Projector
from hub.projection.tables import findings
from hub.transactions.tables import transactions
from hub.transactions.view import TransactionView
from security.certificates import edge_certificate, key_pem, new_csr, new_key, pem, pin_of
from security.chain import Genesis
from security.private_files import write_private
from security.record import CarriedRecord, parse_record
from security.signer import Ed25519Signer
from tests.hub.transactions.test_projector import transaction
from tests.spine import CEILING_S, CutWire, Spine, draft

NOBODY = "127.0.0.1:9"  # discard: no service listens there


class Station(Spine):
    """Hub and machine; `say` is a day's work, `deliver` the line's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.engine = open_engine(self.hub_db)
        add_site(self.engine, "A01", "古魏镇服务所", "office", "")
        with self.engine.begin() as connection:
            connection.execute(edges.insert().values(edge=str(self.edge_id), site="A01", machine="窗口1", enrolled_ms=1))
        self._now = dt.datetime.fromtimestamp(self.clock.unix_ms() / 1000, dt.UTC)
        self.authority = self.new_authority("ca")
        self.hub = Hub(self.hub_id, pin_of(self.authority.root), self.hub_db, self.engine, self.own, self.clock)
        self.state = StateFolder(folder / "machine")
        self._enrol()

    def new_authority(self, name: str) -> HubAuthority:
        """One that bears this hub's name."""
        (self.folder / name).mkdir()
        create_authority(self.folder / name, self.hub_id, self._now)
        return load_authority(self.folder / name)

    def _enrol(self) -> None:
        self.state.make()
        chain = self.new_pair(self.edge_id)
        shutil.copy(self.folder / "edge-record.key", self.state.record_key)
        sealing = self.sealing.public_key().public_bytes_raw().hex()
        fields = dict.fromkeys(Identity.__dataclass_fields__, self.log_signer.public_key.hex()) | {
            "edge": str(self.edge_id), "hub": str(self.hub_id), "journal": str(self.journal_id), "events": "", "site": "A01",
            "site_name": "古魏镇服务所", "site_kind": "office", "work_address": NOBODY, "enrol_address": NOBODY,
            "api_address": NOBODY, "root": pem(self.authority.root).decode(),
            "chain": chain, "hub_sealing_key": sealing}
        Identity(**fields).save(self.state.identity)
        self.journal_db.rename(self.state.business.db)
        self.journal_db = self.state.business.db

    def new_pair(self, edge: UUID) -> str:
        """The machine gets another TLS key; a certificate for it, of that identity, with the intermediate (PEM)."""
        key = new_key()
        leaf = edge_certificate(self.authority.intermediate, new_csr(key, "m"), self.hub_id, edge, self._now)
        write_private(self.state.tls_key, key_pem(key))
        return pem(leaf, self.authority.intermediate.certificate).decode()

    def say(self, *callers: str, folder: IdentityFolder | None = None, deliver: bool = False) -> None:
        """Transactions; each call is a start of the agent, with a data key of its own."""
        asyncio.run(self._say(callers, (folder or self.state).business, deliver=deliver))

    def begin_events(self, *, known: bool = True) -> UUID:
        """The machine's second journal; `known`: its hub has registered it."""
        events, signer = uuid4(), Ed25519Signer.load(self.state.record_key)
        genesis = Genesis(self.edge_id, events, signer.suite, signer.public_key)
        create_journal(self.state.events.db, "events", genesis)
        replace(load_identity(self.state.identity), events=str(events)).save(self.state.identity)
        if known:
            self.own.register_machine([("events", genesis)], "A01")
        return events

    def note(self, *callers: str, folder: IdentityFolder | None = None) -> None:
        """Into the journal of events."""
        asyncio.run(self._say(callers, (folder or self.state).events, deliver=False))

    def deliver(self) -> None:
        self.say(deliver=True)

    async def _say(self, callers: Sequence[str], files: JournalFiles, *, deliver: bool) -> None:
        sealing = bytes.fromhex(load_identity(files.folder.identity).hub_sealing_key)
        signer, limits = Ed25519Signer.load(files.folder.record_key), JournalLimits(reserve_bytes=0)
        journal = Journal(files.db, signer, sealing, self.clock, limits)
        async with asyncio.timeout(CEILING_S), journal:
            for caller in callers:
                await journal.submit(draft(caller, transaction()))
            if deliver:
                async with self.ingest() as ingest:
                    await self._until_proved(journal, CutWire(ingest, self.edge_id))

    async def _until_proved(self, journal: Journal, wire: CutWire) -> None:
        """One stream, until all is delivered, the newest receipt is here, and what the hub has in a backup is pruned."""
        receipts, session = ReceiptStore(self.journal_db), asyncio.create_task(self.uplink(journal, wire).session())
        with Ledger(self.hub_db) as ledger:
            while journal.queued or (not session.done() and (
                    max((one.position for one in receipts.after(0)), default=0) < journal.head.position
                    or not self.first_held() >= journal.standing.backed_up >= ledger.journal(self.journal_id).backed_up)):
                await asyncio.sleep(0.01)
        session.cancel()
        with suppress(asyncio.CancelledError):
            await session

    def back_up(self) -> None:
        """All that the hub holds; the machine hears of it at its next delivery."""
        with Ledger(self.hub_db) as ledger:
            ledger.mark_backed_up({self.journal_id: ledger.journal(self.journal_id).position})

    def rejoin(self, successor: IdentityFolder) -> None:
        """As an admitted successor does it: what its predecessor could not deliver goes over the line in its journal."""
        asyncio.run(self._rejoin(successor))

    async def _rejoin(self, successor: IdentityFolder) -> None:
        identity, said = load_identity(successor.identity), read_succession(self.state, successor)
        signer = Ed25519Signer.load(successor.record_key)
        with Ledger(self.hub_db) as ledger:
            old = ledger.journal(self.journal_id)
            Held(old.position, 0, ledger.digests(old, 0, 10**6)).save(successor.business)
        with self.engine.begin() as connection:
            connection.execute(edges.insert().values(edge=identity.edge, site="A01", machine="窗口1", enrolled_ms=1))
        genesis = Genesis(identity.edge_id, UUID(identity.journal), signer.suite, signer.public_key, self.journal_id)
        self.own.succeed([("business", genesis)], "A01", {})
        journal = Journal(successor.business.db, signer, self.sealing.public_key().public_bytes_raw(), self.clock,
                          JournalLimits(reserve_bytes=0))
        self.journal_db = successor.business.db
        async with asyncio.timeout(CEILING_S), journal, self.ingest() as ingest:
            carrier = Carrier(self.state.business, successor.business, said, journal)
            ask = self._asked_by(identity.edge_id)
            await carrier.carry_over(ask)
            await carrier.look_back(ask)
            await self.drain(journal, CutWire(ingest, identity.edge_id))

    def _asked_by(self, edge: UUID) -> Ask:
        async def ask(journal: UUID, position: int, digest: bytes) -> tuple[int, bool]:
            return Predecessors(self.hub_db).held(edge, journal, position, digest)

        return ask

    def restore(self, backup: Path) -> None:
        """The hub comes back from a backup, in a new epoch."""
        self.engine.dispose()
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.hub_db}{ending}").unlink(missing_ok=True)
        shutil.copy(backup, self.hub_db)
        self.transparency().open_epoch()

    def export(self, name: str = "machine.bundle", state: StateFolder | None = None) -> Path:
        file = self.folder / name
        self.told = export_machine(state or self.state, file, self.clock)
        return file

    def take(self, file: Path) -> Imported:
        """Of a file with one journal."""
        [imported] = self.take_all(file)
        return imported

    def take_all(self, file: Path, site: str = "") -> Sequence[Imported]:
        self.checked_file, imported = import_file(self.hub, Order(file, "周敏", "线路中断", site))
        return imported

    def forget(self) -> None:
        """The hub comes back from a backup that is older than the machine, and without its decisions; the site was there."""
        self.engine.dispose()
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.hub_db}{ending}").unlink(missing_ok=True)
            self.hub_db.with_name(f"decisions.db{ending}").unlink(missing_ok=True)
        create(self.hub_db)
        self.own.create()
        add_site(self.engine, "A01", "古魏镇服务所", "office", "")

    @property
    def approvals(self) -> Approvals:
        return Approvals(self.engine, self.own, self.clock)

    def project(self, findings_max: int = 0) -> list[tuple[UUID, int]]:
        """Journal and position of each transaction that the site ledger shows; no more may be findings."""
        projector = Projector(self.engine, self.hub_db, self.unsealer(), [TransactionView(self.engine)])
        while projector.step():
            pass
        with self.engine.connect() as connection:
            assert len(connection.execute(sa.select(findings)).all()) <= findings_max
            rows = connection.execute(sa.select(transactions).order_by(transactions.c.journal, transactions.c.position)).all()
        return [(UUID(row.journal), row.position) for row in rows]

    def shown(self) -> list[int]:
        """Positions of the first journal's transactions."""
        return [position for journal, position in self.project() if journal == self.journal_id]

    def carried(self) -> list[int]:
        """Positions that stand in the hub's own journal, in its order."""
        with Ledger(self.hub_db) as ledger:
            records = [parse_record(entry.payload) for entry in ledger.entries(ledger.journal(self.hub_id), 0)]
        return [parse_record(one.content.payload).position for one in records if isinstance(one.content, CarriedRecord)]

    def notes(self, kind: str) -> list[bytes]:
        """Clear bodies of that kind in the hub's own journal."""
        with Ledger(self.hub_db) as ledger:
            records = [parse_record(entry.payload) for entry in ledger.entries(ledger.journal(self.hub_id), 0)]
        return [one.content.data for one in records if one.kind == kind and not isinstance(one.content, CarriedRecord)
                and hasattr(one.content, "data")]
