"""A receipt that a machine shows: this hub's own word that it held a journal up to there, whatever its database holds now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub.ledger.journal_head import JournalHead
from hub.ledger.signed_roots import LogKey
from security.chain import leaf_hash
from security.proofs import ProofRefused, check_inclusion
from security.record import signature_holds
from security.suites import Verifier


@dataclass(frozen=True, slots=True)
class ShownReceipt:
    """Of the record at `position`, with its digest and signature: leaf `index` under a signed checkpoint."""

    position: int
    digest: bytes
    signature: bytes
    checkpoint: str
    index: int
    arrived_ms: int
    inclusion: Sequence[bytes]


class ReceiptRefused(ValueError):
    """It proves nothing of this journal."""


def check_receipt(shown: ShownReceipt, journal: JournalHead, log: LogKey) -> None:
    """That the log, in whichever epoch, held this record of the journal. Raises ReceiptRefused."""
    verifier = Verifier(journal.suite, journal.public_key)
    leaf = leaf_hash(verifier.key_id, journal.journal.bytes, shown.position, shown.digest, shown.signature, shown.arrived_ms)
    try:
        _, checkpoint = log.mark(shown.checkpoint.encode())
        check_inclusion(leaf, shown.index, checkpoint.size, shown.inclusion, checkpoint.root)
    except (ValueError, ProofRefused) as error:
        raise ReceiptRefused(f"the receipt for position {shown.position} does not hold: {error}") from error
    if not signature_holds(verifier, shown.signature, shown.digest):
        raise ReceiptRefused(f"the receipt for position {shown.position} is of a record that the machine did not sign")
