"""What the hub takes of a machine's attachments, and what it says of them. The file is the truth, its row says whose it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from hub.attachments.files import BlobFiles
from hub.attachments.tables import attachment_names, attachments
from security.attachment import SEALED_MAX_BYTES, TAG_BYTES
from security.clock import Clock

PART_MAX_BYTES = 64 * 1024
UNNAMED_MAX_BYTES = 64 * 1024 * 1024  # of one machine, whole, that no record names; and PARTIALS_MAX begun ones
UNNAMED_MAX = 256


class Fate(IntEnum):
    """What became of an attachment (AttachAnswer.Fate)."""

    WANTED = 0
    UNNAMED = 1
    HELD = 2
    SAFE = 3
    MISSED = 4


class PartMalformed(ValueError):
    """A part that no machine of ours sends."""


class TooMuch(Exception):
    """Of this machine is here already what no record names."""


class NoRoom(Exception):
    """The hub's disk is needed for records."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of an attachment from an offset on; none ask how far the hub is."""

    address: bytes
    size: int
    offset: int
    data: bytes = field(repr=False)


class Inbox:
    """Synchronous; call it in a thread, for one machine at a time."""

    def __init__(self, engine: sa.Engine, files: BlobFiles, database: Path, clock: Clock, reserve_bytes: int) -> None:
        self._engine = engine
        self._files = files
        self._disk = database.parent
        self._clock = clock
        self._reserve_bytes = reserve_bytes

    def fates(self, edge: UUID, addresses: Sequence[bytes]) -> list[Fate]:
        """Of each. Raises sa.exc.DBAPIError."""
        names = [one.hex() for one in addresses]
        with self._engine.connect() as connection:
            named = set(connection.scalars(sa.select(attachment_names.c.address).where(attachment_names.c.address.in_(names))))
            known = {row.address: row.backed_up_ms for row in connection.execute(
                sa.select(attachments.c.address, attachments.c.backed_up_ms).where(attachments.c.address.in_(names)))}
        return [self._fate(edge, one, named, known) for one in addresses]

    def _fate(self, edge: UUID, address: bytes, named: set[str], known: dict[str, int | None]) -> Fate:
        if not self._files.holds(address):
            return Fate.MISSED if address.hex() in named else Fate.WANTED
        if address.hex() not in known:  # of a crash between file and row, or of a database that was put back
            self._note(edge, address, self._files.path(address).stat().st_size)
        if address.hex() not in named:
            return Fate.UNNAMED
        return Fate.SAFE if known.get(address.hex()) is not None else Fate.HELD

    def take(self, edge: UUID, part: Part) -> int:
        """How many bytes are held by then; all of them only once they are verified and durable.

        A part that does not go on where we are is not kept: the machine goes on from our word (invariant 2).
        Raises PartMalformed, TooMuch, NoRoom, OSError, sa.exc.DBAPIError.
        """
        if not TAG_BYTES <= part.size <= SEALED_MAX_BYTES or len(part.data) > PART_MAX_BYTES:
            raise PartMalformed(f"an attachment of {part.size} bytes, in a part of {len(part.data)}; "
                                "is the machine of another version?")
        if self._files.holds(part.address):
            return part.size
        held = self._files.part_size(edge, part.address)
        if held >= part.size:  # whole, and we died before we could look at it; or of another size then
            return self._finished(edge, part) if held == part.size else self._anew(edge, part)
        if part.offset != held or not part.data:
            return held
        if held + len(part.data) > part.size:
            raise PartMalformed("a part goes beyond the size that was said")
        self._require_room(edge, part, begun=held > 0)
        self._files.write_part(edge, part.address, held, part.data)
        held += len(part.data)
        return self._finished(edge, part) if held == part.size else held

    def _finished(self, edge: UUID, part: Part) -> int:
        if not self._files.finish(edge, part.address):
            return 0
        self._note(edge, part.address, part.size)
        return part.size

    def _anew(self, edge: UUID, part: Part) -> int:
        self._files.discard(edge, part.address)
        return 0

    def _note(self, edge: UUID, address: bytes, size: int) -> None:
        """The file is durable. A crash before this row: the machine asks again, and it is written then."""
        row = attachments.insert().values(address=address.hex(), size=size, edge=str(edge), arrived_ms=self._clock.unix_ms())
        with suppress(sa.exc.IntegrityError), self._engine.begin() as connection:  # it came before, or by a copy of that machine
            connection.execute(row)

    def _require_room(self, edge: UUID, part: Part, *, begun: bool) -> None:
        if shutil.disk_usage(self._disk).free - len(part.data) < self._reserve_bytes:
            raise NoRoom("the hub's disk is full; attachments wait on their machines, records still come. Make room at the hub")
        if begun:
            return
        with self._engine.connect() as connection:
            if connection.execute(sa.select(attachment_names.c.cursor).where(
                    attachment_names.c.address == part.address.hex())).first() is not None:
                return
            unnamed = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(attachments.c.size), 0)).where(
                attachments.c.edge == str(edge),
                ~sa.exists().where(attachment_names.c.address == attachments.c.address))
            count, size = connection.execute(unnamed).one()
        if count >= UNNAMED_MAX or size + part.size > UNNAMED_MAX_BYTES:
            raise TooMuch(f"{count} attachments of this machine ({size} bytes) are named by no record that the hub could "
                          "read; it takes more once their records are here. See suozhan-hub findings")
