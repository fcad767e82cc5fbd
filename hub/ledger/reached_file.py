"""Where an interrupted `suozhan-hub verify` stands, in a file of the state folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from hub.ledger.findings import Finding
from hub.ledger.verify import Reached
from security.private_files import write_private
from security.suites import sha256
from security.tiles import OpenTiles

FORMAT = 1
FINDINGS_MAX = 10_000  # kept; they were printed when they were found


class ReachedFile:
    """For one database file, with or without signatures of records, and with or without what was signed over the tree. It begins
    with its own digest: a damaged one is thrown away.
    """

    def __init__(self, path: Path, database: Path, *, signatures: bool, signed: bool) -> None:
        self._path = path
        self._database = database
        self._signatures = signatures
        self._signed = signed

    def read(self) -> Reached | None:
        """None when there is none for this database and this kind of check. Raises OSError."""
        if not self._path.exists():
            return None
        digest, _, body = self._path.read_bytes().partition(b"\n")
        if digest != sha256(body).hex().encode():
            return None
        said = json.loads(body)
        return _reached(said) if said["of"] == self._of() else None

    def write(self, reached: Reached) -> None:
        """Raises OSError."""
        body = json.dumps({"of": self._of(), **_said(reached)}, ensure_ascii=False).encode()
        write_private(self._path, sha256(body).hex().encode() + b"\n" + body)

    def remove(self) -> None:
        """Raises OSError."""
        self._path.unlink(missing_ok=True)

    def _of(self) -> list[Any]:
        # A file that was put in the place of another is another one.
        return [FORMAT, str(self._database.resolve()), self._database.stat().st_ino, self._signatures, self._signed]


def _said(reached: Reached) -> dict[str, Any]:
    return {
        "index": reached.index,
        "journals": {str(journal): [position, digest.hex()] for journal, (position, digest) in reached.journals.items()},
        "tree": [reached.tiles.size, [row.hex() for row in reached.tiles.hashes]],
        "findings": [[one.where, one.reason, one.damage, one.position] for one in reached.findings[:FINDINGS_MAX]],
    }


def _reached(said: dict[str, Any]) -> Reached:
    size, rows = said["tree"]
    journals = {UUID(journal): (position, bytes.fromhex(digest)) for journal, (position, digest) in said["journals"].items()}
    return Reached(
        said["index"], journals, OpenTiles(size, tuple(map(bytes.fromhex, rows))),
        tuple(Finding(*one) for one in said["findings"]))
