"""Every data key that was seen, and how far its counter has come: a nonce that is used twice gives two bodies away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from hub.audit.tables import data_keys
from security.suites import sha256

COUNTER_MAX = 2**63 - 1  # SQLite's largest integer; AES-GCM allows far fewer under one key


class KeyReused(ValueError):
    """A data key or one of its nonces that was used twice."""


@dataclass(frozen=True, slots=True)
class _Place:
    fingerprint: bytes
    journal: str
    position: int


class KeyRegister:
    """As the database has it, with what one page of the feed adds; `write` keeps that in the commit of the page's cursor."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._counters: dict[_Place, int] = {}

    def learn(self, journal: UUID, position: int, secret: bytes) -> None:
        """A data-key record. Raises KeyReused when another one had the same secret."""
        place = _Place(sha256(secret), str(journal), position)
        others = [one for one in self._places(place.fingerprint) if one != place]
        self._counters[place] = self._counter(place)
        if others:
            raise KeyReused(f"its data key is that of position {others[0].position} in journal {others[0].journal}: a key is "
                            "made anew at each start; look at that machine's random numbers, and whether it was copied")

    def use(self, journal: UUID, position: int, secret: bytes, counter: int, *, carried: bool) -> None:
        """A body sealed under the data key of that position, which did open. Raises KeyReused.

        What was carried over is not its own journal's: it may come twice, so that it counts nothing, but its journal must not
        have used its counter for another record.
        """
        place = _Place(sha256(secret), str(journal), position)
        highest = self._counter(place)
        if not carried:
            self._counters[place] = max(highest, min(counter, COUNTER_MAX))
        if not highest < counter <= COUNTER_MAX:
            raise KeyReused(f"counter {counter} of the data key at position {position} does not go on behind {highest}: one "
                            "nonce for two bodies; look whether that machine was copied or rolled back while it ran")

    def write(self, connection: sa.Connection) -> None:
        """What is new."""
        for place, counter in self._counters.items():
            known = connection.execute(data_keys.update().where(_is(place)).values(counter=counter)).rowcount
            if not known:
                connection.execute(data_keys.insert().values(
                    fingerprint=place.fingerprint, journal=place.journal, position=place.position, counter=counter))

    def _counter(self, place: _Place) -> int:
        if place not in self._counters:
            with self._engine.connect() as connection:
                return connection.execute(sa.select(data_keys.c.counter).where(_is(place))).scalar_one_or_none() or 0
        return self._counters[place]

    def _places(self, fingerprint: bytes) -> Iterator[_Place]:
        yield from [one for one in self._counters if one.fingerprint == fingerprint]
        query = sa.select(data_keys.c.journal, data_keys.c.position).where(data_keys.c.fingerprint == fingerprint)
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                yield _Place(fingerprint, row.journal, row.position)


def _is(place: _Place) -> sa.ColumnElement[bool]:
    return sa.and_(data_keys.c.fingerprint == place.fingerprint, data_keys.c.journal == place.journal,
                   data_keys.c.position == place.position)
