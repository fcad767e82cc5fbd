"""The lines of a bundle that tell of records which it does not hold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from security import strict_base64
from security.bundle.fields import Body, Fields, without_none
from security.bundle.lines import BadLine

RECORDS_MAX = 300  # in one line, which stays short


class Why(StrEnum):
    """Pruned: the hub had it in a backup, says the machine. Lost: perhaps nobody has it. Hole: nobody has it, and that was
    approved at the hub.
    """

    PRUNED = "pruned"
    LOST = "lost"
    HOLE = "hole"


@dataclass(frozen=True, slots=True)
class MissingRecord:
    """What is known of a record that is not in the bundle."""

    id: UUID | None
    digest: bytes | None

    def body(self) -> Body:
        return without_none({"id": self.id and str(self.id), "digest": self.digest and strict_base64.encode(self.digest)})

    @classmethod
    def of(cls, body: object) -> MissingRecord:
        fields = Fields(body, "", "id digest")
        return cls(fields.maybe(fields.uuid, "id"), fields.maybe(fields.hash, "digest"))


@dataclass(frozen=True, slots=True)
class Missing:
    """Consecutive positions without their records. The chain goes on with the last digest, if that is known. `accepted`: the
    position, in the hub's own journal, of the record that accepted the hole.
    """

    first: int
    why: Why
    records: tuple[MissingRecord, ...]
    accepted: int | None = None

    @property
    def last(self) -> int:
        return self.first + len(self.records) - 1

    def body(self) -> Body:
        return without_none({"first": self.first, "why": self.why.value, "records": [one.body() for one in self.records],
                              "accepted": self.accepted})

    @classmethod
    def of(cls, body: object) -> Missing:
        fields = Fields(body, "first why records", "accepted")
        records = tuple(MissingRecord.of(one) for one in fields.list("records"))
        if not 1 <= len(records) <= RECORDS_MAX or fields.words("why") not in list(Why):
            raise BadLine(f"it names why, and 1 to {RECORDS_MAX} records; get the bundle again from whoever exported it")
        return cls(fields.place("first"), Why(fields.words("why")), records, fields.maybe(fields.place, "accepted"))
