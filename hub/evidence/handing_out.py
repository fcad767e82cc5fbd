"""Hands out a bundle: beside a running hub or on a stopped one, noted in the hub's own journal before the file has its name."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hub.enrolment.authority import HubAuthority, ensure_server_certificate, load_authority
from hub.evidence.export import Covering, LedgerExport
from hub.evidence.selection import EvidenceRefused, NotCovered, Selection, Span
from hub.keys import load_keys
from hub.ledger.own_journal import OwnJournal
from hub.ledger.reader import LedgerReader
from hub.ledger.tree_store import TreeStore
from hub.names import name_fault
from hub.state import HubConfig, HubState
from security.bundle.check import Trust
from security.bundle.header import Header
from security.bundle.writer import BundleWriter
from security.certificates import der, load_key, pin_of
from security.checkpoint import Checkpoint
from security.clock import Clock
from security.note import NoteKey
from security.private_files import read_private

WAIT_MAX_S = 10.0  # for a checkpoint that covers what was asked for, several intervals of a running hub
WAIT_STEP_S = 0.5
ENDED = {"root": "a root is never renewed. Keep this hub and its backups as they are, and call the city's security officer: a "
                 "new hub, with a root of its own, has to follow this one, and each machine to be enrolled there",
         "CA": "suozhan-hub certificate renew-authority --root-key FILE"}


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants a bundle of what, and why; it stands in the bundle and in the ledger."""

    selection: Selection
    by: str
    reason: str

    def __post_init__(self) -> None:
        if not self.by.strip() or not self.reason.strip() or name_fault(self.by) or name_fault(self.reason):
            raise EvidenceRefused("somebody takes evidence out, for a reason; give --by and --reason in a few words")


def hand_out(state: HubState, file: Path, request: Request, clock: Clock, wait_s: float = WAIT_MAX_S) -> Trust:
    """Writes the bundle; what is given back is for reading it as whoever gets it will. Raises EvidenceRefused, BundleExists,
    OSError, sqlite3.Error.
    """
    config, keys, now_ms = state.config(), load_keys(state.keys), clock.unix_ms()
    key, chain = _exporter(state, config, now_ms)
    with LedgerReader(state.database) as ledger, TreeStore(state.database) as tree:
        export, spans, covering = _covered(ledger, tree, config.hub, request.selection, wait_s)
        log_key = NoteKey(covering.checkpoint.origin, keys.log.public_key)
        header = Header(config.hub, None, request.by, request.reason, str(request.selection), now_ms, log_key,
                        tuple(map(der, chain)))
        with BundleWriter(file, key) as bundle:
            export.write(bundle, header, spans)
            said = {"by": request.by, "reason": request.reason, "scope": header.scope, "file": file.name,
                    "entries": bundle.entries, "sha256": bundle.finish().hex()}
            OwnJournal(state.database, config.hub, keys.record, clock).note("evidence.exported", said)
    return Trust(pin_of(chain[-1]), log_key)


def _exporter(state: HubState, config: HubConfig, now_ms: int) -> tuple[ec.EllipticCurvePrivateKey, list[x509.Certificate]]:
    """The hub's TLS key, and its certificates up to the root. Raises EvidenceRefused."""
    authority, now = load_authority(state.ca), dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    _require_valid(authority, now)
    files = ensure_server_certificate(state.tls, authority, config.hosts, now)
    leaf = x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]
    return load_key(read_private(files.key)), [leaf, authority.intermediate.certificate, authority.root]


def _require_valid(authority: HubAuthority, now: dt.datetime) -> None:
    """At another time a TLS certificate would be issued under which no bundle is proved."""
    for name, one in (("root", authority.root), ("CA", authority.intermediate.certificate)):
        first, last = one.not_valid_before_utc, one.not_valid_after_utc
        if not first <= now <= last:
            ended = f"; where it is right, that certificate has ended: {ENDED[name]}" if now > last else ""
            raise EvidenceRefused(
                f"this machine's clock says {now:%Y-%m-%d %H:%M}Z, and the hub's {name} certificate is valid from "
                f"{first:%Y-%m-%d} to {last:%Y-%m-%d}: nobody could verify a bundle of that moment. Set the clock and export "
                f"again{ended}")


def _covered(ledger: LedgerReader, tree: TreeStore, hub: UUID, selection: Selection,
             wait_s: float) -> tuple[LedgerExport, list[Span], Covering]:
    """Under the newest checkpoint, or under one that comes soon. Raises EvidenceRefused, NotCovered."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            covering = _newest(tree)
            export = LedgerExport(ledger, tree, hub, covering)
            return export, export.spans(selection), covering
        except NotCovered:
            if time.monotonic() >= deadline:
                raise
            time.sleep(WAIT_STEP_S)


def _newest(tree: TreeStore) -> Covering:
    note = tree.checkpoint(tree.newest_epoch())
    if not note:
        raise NotCovered("nothing is signed in this ledger yet: start the hub, and export again after some seconds")
    return Covering(Checkpoint.parse(note.split("\n\n", 1)[0] + "\n"), note)
