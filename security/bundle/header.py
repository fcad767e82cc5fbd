"""The first line of a bundle, and what tells of the log: its epochs and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from security import strict_base64
from security.bundle.fields import TEXT_MAX_CHARS, Body, Fields, is_text, without_none
from security.bundle.lines import BadLine
from security.note import BadNoteKey, NoteKey

FORMAT = "suozhan/bundle/v1"


@dataclass(frozen=True, slots=True)
class Header:
    """Who exported (the hub itself when `edge` is None), at whose wish and why, what was asked for in words, when by the
    exporter's clock, the log's key, and the exporter's certificates in DER: leaf, intermediate, root.
    """

    hub: UUID
    edge: UUID | None
    by: str
    reason: str
    scope: str
    exported_ms: int
    log_key: NoteKey
    certificates: tuple[bytes, ...]

    def __post_init__(self) -> None:
        for text in (self.by, self.reason, self.scope):
            if not is_text(text):
                raise ValueError(f"{text[:40]!r} cannot stand in a bundle; use printable text of at most {TEXT_MAX_CHARS} "
                                 "characters")

    def body(self) -> Body:
        return without_none({
            "format": FORMAT, "hub": str(self.hub), "edge": self.edge and str(self.edge), "by": self.by, "reason": self.reason,
            "scope": self.scope, "exported_ms": self.exported_ms, "log_key": str(self.log_key),
            "certificates": [strict_base64.encode(one) for one in self.certificates]})

    @classmethod
    def of(cls, body: object) -> Header:
        fields = Fields(body, "format hub by reason scope exported_ms log_key certificates", "edge")
        if fields.words("format") != FORMAT:
            raise BadLine(f"it is no {FORMAT}; get a newer suozhan-verify")
        try:
            log_key = NoteKey.parse(fields.words("log_key"))
        except BadNoteKey as error:
            raise BadLine(str(error)) from error
        return cls(fields.uuid("hub"), fields.maybe(fields.uuid, "edge"), fields.text("by"), fields.text("reason"),
                   fields.text("scope"), fields.number("exported_ms"), log_key, fields.datas("certificates"))


@dataclass(frozen=True, slots=True)
class Epoch:
    """Where an epoch of the log begins, as the log's key signed it."""

    statement: str

    def body(self) -> Body:
        return {"statement": self.statement}

    @classmethod
    def of(cls, body: object) -> Epoch:
        return cls(Fields(body, "statement").words("statement"))


@dataclass(frozen=True, slots=True)
class CheckpointNote:
    """The signed checkpoint under which the proofs behind this line hold."""

    note: str

    def body(self) -> Body:
        return {"note": self.note}

    @classmethod
    def of(cls, body: object) -> CheckpointNote:
        return cls(Fields(body, "note").words("note"))
