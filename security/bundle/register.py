"""What the hub's own journal says in a bundle: which keys it registered, and which holes it accepted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from security.bundle.entries import Journal
from security.bundle.lines import encoded
from security.bundle.missing import Missing, Why
from security.bundle.unproved import Unproved
from security.record import ClearBody, Record
from security.suites import sha256

KEY_REGISTERED = "key.registered"
HOLE_ACCEPTED = "hole.accepted"


@dataclass(frozen=True, slots=True)
class Registration:
    """`position` of the record in the hub's own journal; the site; and what was registered, as a digest."""

    position: int
    site: str
    content: bytes


class Register:
    """Take each record of the hub's own journal; then ask. A million records lost fit in, as digests."""

    def __init__(self) -> None:
        self._registrations: dict[int, Registration] = {}
        self._holes: dict[int, bytes] = {}

    def take(self, record: Record) -> None:
        """Raises Unproved for a registration or hole that cannot be read."""
        if record.kind not in {KEY_REGISTERED, HOLE_ACCEPTED} or not isinstance(record.content, ClearBody):
            return
        try:
            said = json.loads(record.content.data)
            if record.kind == KEY_REGISTERED:
                self._registrations[record.position] = Registration(record.position, str(said["site"]), _registered(said))
            else:
                self._holes[record.position] = sha256(_hole(said))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Unproved(f"what it says cannot be read ({type(error).__name__}); ask whoever exported it") from error

    def check_registered(self, journal: Journal) -> Registration:
        """Raises Unproved."""
        found = self._registrations.get(journal.registered or 0)
        if found is None:
            raise Unproved("no record of the hub in this bundle registers its key; ask whoever exported it")
        if found.content != sha256(encoded(_content(journal))):
            raise Unproved("another key, machine or journal was registered there than it says; ask whoever exported it")
        return found

    def check_hole(self, journal: Journal, missing: Missing) -> None:
        """Raises Unproved."""
        listed = sha256(encoded(_content_of_hole(journal, missing)))
        if missing.why is Why.HOLE and self._holes.get(missing.accepted or 0) != listed:
            raise Unproved("no record of the hub in this bundle accepts this hole; ask whoever exported it")


def _registered(said: dict[str, Any]) -> bytes:
    return sha256(encoded({name: said[name] for name in ("edge", "journal", "name", "suite", "public_key", "genesis")}))


def _content(journal: Journal) -> dict[str, object]:
    return {"edge": str(journal.edge), "journal": str(journal.journal), "name": journal.name, "suite": int(journal.suite),
            "public_key": journal.public_key.hex(), "genesis": journal.genesis.digest().hex()}


def _hole(said: dict[str, Any]) -> bytes:
    return encoded({name: said[name] for name in ("journal", "first", "last", "records")})


def _content_of_hole(journal: Journal, missing: Missing) -> dict[str, object]:
    records = [{"id": str(one.id), "digest": (one.digest or b"").hex()} for one in missing.records]
    return {"journal": str(journal.journal), "first": missing.first, "last": missing.last, "records": records}
