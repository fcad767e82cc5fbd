"""Data keys, found in the ledger and unwrapped; the newest ones are kept."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from hub.ledger.found_keys import FoundKeys
from hub.ledger.reader import LedgerReader
from security.record import Record, SealedBody, WrappedKey, parse_record
from security.sealing import OpenedKey, SealBroken, Unsealer

KEYS_MAX = 4_096

# A key carried along is named by its own bytes: two branches of one journal may have keys at the same position.
_Name = tuple[UUID, UUID, int | bytes]


class DataKeys:
    """One thread's. Raises SealBroken for what does not open, MalformedRecord or DamagedRow for what cannot be read."""

    def __init__(self, unsealer: Unsealer) -> None:
        self._unsealer = unsealer
        self._keys: OrderedDict[_Name, OpenedKey] = OrderedDict()
        self._found = FoundKeys()

    def learn(self, record: Record, key: WrappedKey) -> OpenedKey:
        """A data-key record that was just read, in its journal or as what was lost of it."""
        return self._opened((record.edge, record.journal, record.position), record.edge, record.journal, key)

    def carried(self, record: Record, key: WrappedKey) -> OpenedKey:
        """A data key that came along with a record, or was carried itself."""
        return self._opened((record.edge, record.journal, key.wrapped), record.edge, record.journal, key)

    def open(self, ledger: LedgerReader, record: Record, sealed: SealedBody, carried: WrappedKey | None) -> bytes:
        """The body of a sealed record; `carried` is the key that came along with it, if one did."""
        return self.key(ledger, record, sealed, carried).open(sealed, position=record.position, kind=record.kind)

    def key(self, ledger: LedgerReader, record: Record, sealed: SealedBody, carried: WrappedKey | None) -> OpenedKey:
        """The key under which that body was sealed."""
        if carried is not None:
            return self.carried(record, carried)
        return self._held(ledger, record, sealed.key_position)

    def _held(self, ledger: LedgerReader, record: Record, position: int) -> OpenedKey:
        name = (record.edge, record.journal, position)
        if (known := self._keys.get(name)) is not None:
            return known
        entry = ledger.entry(record.journal, position)
        holder = parse_record(entry.payload) if entry else self._found.key(ledger, record.journal, position)
        if holder is None or not isinstance(holder.content, WrappedKey):
            raise SealBroken(f"position {position}, named as the data key, holds none")
        return self._opened(name, record.edge, record.journal, holder.content)

    def _opened(self, name: _Name, edge: UUID, journal: UUID, key: WrappedKey) -> OpenedKey:
        if name not in self._keys:
            self._keys[name] = self._unsealer.unwrap(edge, journal, key)
            while len(self._keys) > KEYS_MAX:
                self._keys.popitem(last=False)
        return self._keys[name]
