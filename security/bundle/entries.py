"""The lines of a bundle that hold records: whose they are, where they begin, what was signed, where it stands in the tree."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from security import strict_base64
from security.bundle.fields import Body, Fields, without_none
from security.bundle.lines import BadLine
from security.chain import Genesis
from security.suites import Suite


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of the ranges behind this line. `registered` is the position, in the hub's own journal, of the record that
    registered it; None for the hub's own journal, and at an edge, which does not hold that record.
    """

    journal: UUID
    edge: UUID
    name: str
    suite: Suite
    public_key: bytes
    predecessor: UUID | None = None
    registered: int | None = None

    @property
    def genesis(self) -> Genesis:
        return Genesis(self.edge, self.journal, self.suite, self.public_key, self.predecessor)

    def body(self) -> Body:
        return without_none({
            "journal": str(self.journal), "edge": str(self.edge), "name": self.name, "suite": int(self.suite),
            "public_key": strict_base64.encode(self.public_key), "registered": self.registered,
            "predecessor": self.predecessor and str(self.predecessor)})

    @classmethod
    def of(cls, body: object) -> Journal:
        fields = Fields(body, "journal edge name suite public_key", "predecessor registered")
        try:
            suite = Suite(fields.number("suite"))
        except ValueError as error:
            raise BadLine("its suite is not known; get a newer suozhan-verify") from error
        return cls(fields.uuid("journal"), fields.uuid("edge"), fields.text("name"), suite, fields.data("public_key"),
                   fields.maybe(fields.uuid, "predecessor"), fields.maybe(fields.place, "registered"))


@dataclass(frozen=True, slots=True)
class Range:
    """Behind this line come the positions of the journal from `first` on; `previous` is the digest before it."""

    first: int
    previous: bytes

    def body(self) -> Body:
        return {"first": self.first, "previous": strict_base64.encode(self.previous)}

    @classmethod
    def of(cls, body: object) -> Range:
        fields = Fields(body, "first previous")
        return cls(fields.place("first"), fields.hash("previous"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it was signed. `index` and `arrived_ms` are what the hub says; at an edge they are None."""

    position: int
    payload: bytes
    signature: bytes
    index: int | None = None
    arrived_ms: int | None = None

    def body(self) -> Body:
        return without_none({
            "position": self.position, "payload": strict_base64.encode(self.payload),
            "signature": strict_base64.encode(self.signature), "index": self.index, "arrived_ms": self.arrived_ms})

    @classmethod
    def of(cls, body: object) -> Entry:
        fields = Fields(body, "position payload signature", "index arrived_ms")
        return cls(fields.place("position"), fields.data("payload"), fields.data("signature"),
                   fields.maybe(fields.number, "index"), fields.maybe(fields.number, "arrived_ms"))


@dataclass(frozen=True, slots=True)
class Proof:
    """That the entry just before, or a position of the `Missing` just before (then with its signature), stands in the tree."""

    position: int
    index: int
    arrived_ms: int
    hashes: tuple[bytes, ...]
    signature: bytes | None = None

    def body(self) -> Body:
        return without_none({
            "position": self.position, "index": self.index, "arrived_ms": self.arrived_ms,
            "hashes": [strict_base64.encode(one) for one in self.hashes],
            "signature": None if self.signature is None else strict_base64.encode(self.signature)})

    @classmethod
    def of(cls, body: object) -> Proof:
        fields = Fields(body, "position index arrived_ms hashes", "signature")
        return cls(fields.place("position"), fields.number("index"), fields.number("arrived_ms"), fields.datas("hashes"),
                   fields.maybe(fields.data, "signature"))
