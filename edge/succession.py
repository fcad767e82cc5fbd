"""A journal that cannot go on gets a successor: a new identity of this machine, with keys and journals of its own.

The counter works in it at once; the hub takes it once a person there has approved it (edge/rejoin.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from uuid import uuid4

import structlog

from edge.followed import Ended, Succession
from edge.forerunner import ends
from edge.identity import Identity, load_identity, named
from edge.journal_store import KEEP_AND_CALL, create_journal
from edge.state import IdentityFolder, JournalFiles, StateFolder
from security.certificates import key_pem, new_csr, new_key
from security.chain import Genesis
from security.private_files import sync_folder, write_private
from security.signer import Ed25519Signer

SUCCESSORS_MAX = 100
REASON_MAX_CHARS = 120
REASON_GONE = "why is not known: succession.json is damaged"

log = structlog.get_logger()


class SuccessionRefused(Exception):
    """No successor can be made; the text says what to do."""


def begin(state: StateFolder, reason: str) -> IdentityFolder:
    """A successor of the current identity, whole or not at all, and at once: whatever takes long is done while the counter works.

    Raises SuccessionRefused, NotEnrolled, OSError, sqlite3.Error.
    """
    old = state.current
    identity = load_identity(old.identity)
    number = len(state.identities()) + 1
    if number > SUCCESSORS_MAX:
        raise SuccessionRefused(f"{state.successors} holds {SUCCESSORS_MAX} identities already; call the city's IT desk")
    state.successors.mkdir(mode=0o700, exist_ok=True)
    unfinished = IdentityFolder(state.successors / f".{number}.new")
    shutil.rmtree(unfinished.root, ignore_errors=True)  # what a crash left: nobody has seen its keys
    _fill(unfinished, identity, Succession(identity.edge_id, _in_short(reason, old), _ended(identity, old)))
    finished = IdentityFolder(state.successors / str(number))
    unfinished.root.rename(finished.root)
    sync_folder(state.successors)
    state.diagnosis.unlink(missing_ok=True)  # why the old one had no line
    return finished


def _in_short(reason: str, old: IdentityFolder) -> str:
    """For the one who approves it, and as the hub takes it: one line with what is damaged, not where this machine keeps it."""
    text = reason.replace(f"{old.business.db.parent}/", "").removesuffix(f"; {KEEP_AND_CALL}")
    line = "".join(one if one.isprintable() else " " for one in text)
    return line if len(line) <= REASON_MAX_CHARS else f"{line[:REASON_MAX_CHARS - 1]}…"


def _ended(identity: Identity, old: IdentityFolder) -> Mapping[str, Ended]:
    return {name: Ended(journal, *ends(JournalFiles(old, name))) for name, journal in identity.journals.items()}


def _fill(folder: IdentityFolder, old: Identity, succession: Succession) -> None:
    folder.make()
    edge = uuid4()
    signer = Ed25519Signer.create(folder.record_key)
    key = new_key()
    write_private(folder.tls_key, key_pem(key))
    write_private(folder.csr, new_csr(key, str(edge)))
    journals = {files.name: uuid4() for files in folder.journals}
    for files in folder.journals:
        before = succession.journals.get(files.name)
        create_journal(files.db, files.name, Genesis(edge, journals[files.name], signer.suite, signer.public_key,
                                                     before.journal if before else None))
    succession.save(folder)
    replace(old, edge=str(edge), chain="", **named(journals)).save(folder.identity)
    for one in (folder.root / "keys", folder.root / "journals", folder.root):
        sync_folder(one)


def read_succession(old: IdentityFolder, new: IdentityFolder) -> Succession:
    """Of two identities of a machine, one behind the other. Where `new` no longer says it, `old` says who it was.

    Raises NotEnrolled when neither does, ExposedSecret.
    """
    try:
        return Succession.load(new)
    except (FileNotFoundError, ValueError) as error:
        log.warning("an earlier identity's own files say what this one does not", file=str(new.succession), error=str(error),
                    next="look after this machine's disk")
        identity = load_identity(old.identity)
        return Succession(identity.edge_id, REASON_GONE, _ended(identity, old))
