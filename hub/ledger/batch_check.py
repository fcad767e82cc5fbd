"""The fast path's check of a batch: chain and last signature authenticate the whole (docs/decisions/0003)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from security.chain import digests_after
from security.record import PlaceCheck, signature_holds
from security.run import Run
from security.suites import Verifier


@dataclass(frozen=True, slots=True)
class Broken:
    """The first record of a batch that is not what it claims."""

    position: int
    malformed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The digests of a batch's good beginning, and what ended it (None: all of it is good)."""

    digests: list[bytes]
    broken: Broken | None


def check_batch(batch: Run, verifier: Verifier, edge: UUID, journal: UUID) -> Checked:
    """One signature is verified when all is well; when the batch fails, it is checked one by one."""
    in_place = PlaceCheck(edge, journal).holding(batch.payloads, batch.first)
    digests = digests_after(batch.previous, batch.payloads[:in_place])
    if digests and not signature_holds(verifier, batch.signatures[in_place - 1], digests[-1]):
        return _one_by_one(batch, digests, verifier)
    if in_place == len(batch):
        return Checked(digests, None)
    reason = "not a record of this machine, journal and position"
    return Checked(digests, Broken(batch.first + in_place, malformed=True, reason=reason))


def _one_by_one(batch: Run, digests: list[bytes], verifier: Verifier) -> Checked:
    for number, (signature, digest) in enumerate(zip(batch.signatures, digests, strict=False)):
        if not signature_holds(verifier, signature, digest):
            reason = "the signature does not hold under the journal's registered key"
            return Checked(digests[:number], Broken(batch.first + number, malformed=False, reason=reason))
    raise AssertionError("the last signature failed before and holds now")
