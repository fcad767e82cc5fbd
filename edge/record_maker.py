"""Drafts to signed, sealed links behind a head (invariants 5, 7, 10). Nothing here touches the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from edge.drafts import Draft
from edge.journal_store import Head, NewRow
from security.chain import Genesis
from security.clock import Clock
from security.record import Content, Record, Times, sign_link
from security.sealing import DataKey
from security.signer import Signer

DATA_KEY_LIFE_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class _KeyInUse:
    """A data key whose record is committed at `position`; `born_ms` since boot."""

    key: DataKey
    position: int
    born_ms: int


class RecordMaker:
    """One journal's. Data keys live in memory only; a restart or 24 hours make a new one."""

    def __init__(self, genesis: Genesis, signer: Signer, hub_sealing_key: bytes, clock: Clock) -> None:
        self._genesis = genesis
        self._signer = signer
        self._hub_sealing_key = hub_sealing_key
        self._clock = clock
        self._in_use: _KeyInUse | None = None

    def needs_key(self) -> bool:
        """Whether a key record has to be committed before the next draft is sealed."""
        return self._in_use is None or self._clock.boottime_ms() - self._in_use.born_ms > DATA_KEY_LIFE_MS

    def forget_key(self, position: int) -> None:
        """A new key at the next draft, if the one in use stands at `position` or before."""
        if self._in_use is not None and self._in_use.position <= position:
            self._in_use = None

    def new_key(self, head: Head, hub_ms: int) -> tuple[DataKey, NewRow]:
        """A key and its record, which must be committed before `use_key`."""
        key = DataKey(self._genesis.edge, self._genesis.journal)
        return key, self._row(head, hub_ms, uuid4(), "data-key", False, key.wrap(self._hub_sealing_key), None)

    def use_key(self, key: DataKey, position: int) -> None:
        self._in_use = _KeyInUse(key, position, self._clock.boottime_ms())

    def rows(self, head: Head, hub_ms: int, drafts: Sequence[tuple[UUID, Draft, bytes]]) -> list[NewRow]:
        """Records of (id, draft, tag) behind `head`; `hub_ms` is the time that the hub signed last."""
        assert self._in_use is not None
        key, key_position = self._in_use.key, self._in_use.position
        rows: list[NewRow] = []
        for record_id, draft, tag in drafts:
            content: Content = draft.carried or key.seal(draft.body, key_position=key_position, position=head.position + 1,
                                                         kind=draft.kind)
            rows.append(self._row(head, hub_ms, record_id, draft.kind, draft.simulated, content, tag))
            head = Head(rows[-1].position, rows[-1].link.digest)
        return rows

    def _row(self, head: Head, hub_ms: int, record_id: UUID, kind: str, simulated: bool, content: Content,
             tag: bytes | None) -> NewRow:
        times = Times(self._clock.unix_ms(), hub_ms, self._clock.boot_id, self._clock.boottime_ms())
        position = head.position + 1
        record = Record(record_id, self._genesis.edge, self._genesis.journal, position, kind, times, simulated, content)
        return NewRow(position, record_id, head.digest, sign_link(self._signer, head.digest, record.payload()), tag)
