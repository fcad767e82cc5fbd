"""A record that salvage has not, from what else there is: the second copy of a data key, or a payload of which only the signature
is damaged.
"""

from __future__ import annotations

from edge.forerunner import old_signer
from edge.key_copies import KeyCopies
from edge.salvage import Lost, Pruned, Salvaged, Saved
from edge.state import JournalFiles
from security.chain import next_digest, signing_input
from security.record import MalformedRecord, parse_record, signature_holds
from security.suites import Verifier


def whole(files: JournalFiles, salvaged: Salvaged, entry: Saved | Pruned | Lost) -> Saved | None:
    """The record as it was signed, None where it is not here or cannot be proved."""
    if isinstance(entry, Saved):
        return entry
    copy = _copied(files, salvaged, entry)
    return copy if copy or isinstance(entry, Pruned) else _signed_again(files, salvaged, entry)


def _copied(files: JournalFiles, salvaged: Salvaged, entry: Pruned | Lost) -> Saved | None:
    copy = KeyCopies(files.db).find(entry.position)
    previous = salvaged.digest_at(entry.position - 1) if copy else None
    if copy is None or previous is None:
        return None
    payload, signature = copy
    genesis, digest = salvaged.identity.genesis, next_digest(previous, payload)
    if not signature_holds(Verifier(genesis.suite, genesis.public_key), signature, digest):
        return None
    try:
        return Saved(entry.position, parse_record(payload).id, previous, digest, payload, signature)
    except MalformedRecord:
        return None


def _signed_again(files: JournalFiles, salvaged: Salvaged, entry: Lost) -> Saved | None:
    """Ed25519 gives the very same bytes again: by the key of others here, for the file may be another machine's."""
    if not salvaged.saved:
        return None
    signer, previous = old_signer(files.folder), salvaged.digest_at(entry.position - 1)
    if signer is None or signer.public_key != salvaged.identity.genesis.public_key:
        return None
    if not (previous and entry.payload and entry.digest and entry.id):
        return None
    return Saved(entry.position, entry.id, previous, entry.digest, entry.payload, signer.sign(signing_input(entry.digest)))
