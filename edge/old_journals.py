"""What a machine that begins anew can still say of the journals before: whose they were, and which records they held."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from edge.drafts import CorruptJournal
from edge.keys_check import known_identity
from edge.salvage import NothingToSalvage, salvage
from edge.state import IdentityFolder, JournalFiles
from security.chain import Genesis
from security.durable_sqlite import open_readonly
from security.signer import BadKey, Ed25519Signer

_END = "SELECT position FROM head"
_DIGEST = "SELECT digest FROM digests WHERE position = ?"


@dataclass(frozen=True, slots=True)
class OldJournal:
    """An earlier journal, and its record key's signature over what the new record key signs."""

    genesis: Genesis
    proof: bytes


def old_journals(folders: Sequence[IdentityFolder], proof: bytes) -> list[OldJournal]:
    """Name by name and newest first, as far back as the files beside each are whole: a hub that was restored may know none."""
    names = [files.name for files in folders[-1].journals]
    return [one for name in names for one in _chain([JournalFiles(folder, name) for folder in folders], proof)]


def _chain(journals: Sequence[JournalFiles], proof: bytes) -> Iterator[OldJournal]:
    for files in reversed(journals):
        identity = known_identity(files)
        if identity is None:
            break
        with suppress(BadKey, OSError):
            yield OldJournal(identity.genesis, Ed25519Signer.load(files.folder.record_key).sign(proof))


def known_digests(old: JournalFiles) -> list[tuple[int, bytes]]:
    """Positions and digests of an old journal, from its end back, ever further apart: by them the hub finds the last record that
    both have, whatever it lost and however long the journal is. Those that can be read; reading a damaged journal takes minutes.
    """
    with suppress(sqlite3.Error, CorruptJournal, OSError, TypeError), closing(open_readonly(old.db)) as db:
        end = int(db.execute(_END).fetchone()[0])
        return _found(end, lambda at: (db.execute(_DIGEST, (at,)).fetchone() or (None,))[0])
    with suppress(NothingToSalvage, OSError, ValueError, sqlite3.Error), salvage(old.db, known_identity(old)) as salvaged:
        return _found(salvaged.head.position, salvaged.digest_at)
    return []


def _places(end: int) -> Iterator[int]:
    step, at = 1, end
    while at > 0:
        yield at
        at, step = at - step, 2 * step


def _found(end: int, digest_at: Callable[[int], object]) -> list[tuple[int, bytes]]:
    read = ((at, digest_at(at)) for at in _places(end))
    return [(at, digest) for at, digest in read if isinstance(digest, bytes) and len(digest) == 32]
