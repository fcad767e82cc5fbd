"""What the hub decided before, applied once more to a database that came back from a backup and does not know of it.

The records of the hub's own journal say it. What is so already stays as it is: all of it may be gone over again and again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from hub.api.tables import api_tokens
from hub.attention.alarms import Alarms, cleared_again, open_again
from hub.attention.approvals import go_on_behind
from hub.enrolment.revocation import followed_by, said_by
from hub.enrolment.tables import declarations, edges, sites
from hub.ledger.hole import Hole
from hub.ledger.journal_head import JournalHead, UnknownJournal
from hub.ledger.own_journal import OwnJournal, TakenBack
from hub.ledger.runs import Damaged
from hub.ledger.stated_epochs import stated
from hub.ledger.store import Ledger
from hub.ledger.tree_store import TreeStore
from hub.outage import Outage
from hub.projection.tables import cursors
from security.chain import Genesis
from security.log_epoch import open_epoch
from security.record import ClearBody, parse_record
from security.suites import Suite

NAME = "recall"
CONTINUED = "requests.continued"
RETRY_S = 2.0
DECIDE_AGAIN = (
    "Decide again what was decided since: revoked machines (suozhan-hub revoke), revoked tokens (suozhan-hub token revoke), new "
    "sites; machines that were enrolled since need an invitation: suozhan-hub invite SITE --replaces EDGE. Requests are made "
    "again by whoever needs them")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Decision:
    """One record of the hub's own journal that can be applied."""

    position: int
    kind: str
    body: Mapping[str, Any]
    decided_ms: int


@dataclass(frozen=True, slots=True)
class Recalled:
    """How many records were taken back; what was applied, and what has to be decided again, in words. `fault`: why there may have
    been others, "" when all are known. New requests have ids behind `requests_behind`, which belongs into a record where the
    database was put back, as far as one can tell: `lost`.
    """

    taken_back: int
    words: tuple[str, ...]
    fault: str
    requests_behind: int
    lost: bool


class Recall:
    """Of one hub. Synchronous; nothing else may work on the database."""

    def __init__(self, engine: sa.Engine, database: Path, own_journal: OwnJournal, hub: UUID, log_key: bytes) -> None:
        self._engine = engine
        self._database = database
        self._own_journal = own_journal
        self._hub = hub
        self._log_key = log_key

    def run(self) -> Recalled:
        """All of it. Raises sqlite3.Error, sa.exc.DBAPIError."""
        return self._gone_over(self._own_journal.take_back(), 0, lost=True)

    async def before_serving(self, alarms: Alarms) -> None:
        """`at_start`, until it has succeeded: a full or locked disk must not let in whom this hub has sent away, either."""
        outage, applied = Outage("decisions; nobody is let in before they are applied"), False
        while not applied:
            with outage:
                await asyncio.to_thread(self.at_start, alarms)
                applied = True
            if not applied:
                await asyncio.sleep(RETRY_S)

    def at_start(self, alarms: Alarms) -> None:
        """Of a hub whose database somebody may have put back without a word: it must not let in whom it has sent away. What was
        written since the last start is gone over: a command may have taken back records before us. Raises sqlite3.Error,
        sa.exc.DBAPIError.
        """
        taken = self._own_journal.take_back()
        if taken.fault:
            alarms.raise_alarm("decisions-lost", "ledger", (
                f"{taken.fault}, and was made anew out of the ledger: nothing is lost by that, unless the database was put "
                f"back, too. Then this hub does not know what it decided since. {DECIDE_AGAIN}"))
        back = self._gone_over(taken, self._reached(), lost=bool(taken.count or taken.fault))
        if back.lost:
            self._own_journal.note(CONTINUED, {"requests_behind": back.requests_behind})
        if taken.fault:
            self._own_journal.fault_told()
        if back.words:
            log.warning("the database lacked what this hub had decided", applied=back.words)

    def _reached(self) -> int:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(cursors.c.cursor).where(cursors.c.name == NAME)).scalar_one_or_none() or 0

    def _gone_over(self, taken: TakenBack, after: int, *, lost: bool) -> Recalled:
        with Ledger(self._database) as ledger:
            head = ledger.journal(self._hub)
            decisions = list(_decisions(ledger, head, after))
            words = [word for one in decisions for word in self._applied(ledger, one)]
            words += [word for hole in _holes(decisions) for word in _accepted(ledger, *hole)]
        words += self._alarmed(decisions)
        words += [f"request {one.body['id']} ({one.body['kind']}, {one.body['subject']}) was {one.kind.removeprefix('request.')} "
                  f"by {one.body['by']}: whoever still needs it asks again" for one in decisions
                  if one.position > head.position - taken.count and one.kind.startswith("request.")]
        lost = lost or bool(words)
        behind = go_on_behind(self._engine, max(map(_request, decisions), default=0), lost=lost)
        with self._engine.begin() as connection:
            connection.execute(cursors.delete().where(cursors.c.name == NAME))
            connection.execute(cursors.insert().values(name=NAME, cursor=head.position))
        return Recalled(taken.count, tuple(words), taken.fault, behind, lost)

    def _alarmed(self, decisions: list[Decision]) -> Iterator[str]:
        """Most alarms are not raised again by what happens later."""
        last = {(one.body["kind"], one.body["subject"]): one for one in decisions
                if one.kind in {"alarm.raised", "alarm.cleared"}}
        for (kind, subject), one in last.items():
            if one.kind == "alarm.raised":
                if open_again(self._engine, kind, subject, one.body["text"], one.decided_ms):
                    yield f"the alarm {kind} ({subject}) is open: {one.body['text']}"
            elif cleared_again(self._engine, kind, subject, one.body["by"], one.decided_ms):
                yield f"the alarm {kind} ({subject}) was cleared by {one.body['by']}"

    def _applied(self, ledger: Ledger, one: Decision) -> Iterator[str]:
        """In words, if it was not so already."""
        body = one.body
        match one.kind:
            case "key.registered":
                yield from self._registered(ledger, one)
            case "journal.closed":
                with ledger.transaction():
                    closed = ledger.close(UUID(body["journal"]), f"journal {body['successor']} follows it")
                if closed:
                    yield f"journal {body['journal']} has ended: {body['successor']} follows it"
            case "machine.revoked":
                yield from self._revoked(body, one)
            case "token.revoked":
                ended = api_tokens.update().where(api_tokens.c.id == body["token"], api_tokens.c.revoked_ms.is_(None))
                if self._change(ended.values(revoked_ms=one.decided_ms)):
                    yield f"token {body['token']} is revoked"
            case "epoch.opened" if "statement" in body:
                self._state(body["statement"])

    def _registered(self, ledger: Ledger, one: Decision) -> Iterator[str]:
        """Its newest certificate counts again once it comes with it (hub/enrolment/adoption.py)."""
        body, edge, site = one.body, one.body["edge"], one.body["site"]
        genesis = Genesis(UUID(edge), UUID(body["journal"]), Suite(body["suite"]), bytes.fromhex(body["public_key"]),
                          UUID(body["predecessor"]) if "predecessor" in body else None)
        with self._engine.connect() as connection:
            strange = connection.execute(sa.select(edges).where(edges.c.edge == edge)).first() is None
            nowhere = connection.execute(sa.select(sites).where(sites.c.code == site)).first() is None
        if strange and nowhere:  # nothing of it is known then, as of any machine that a restored hub forgot
            yield (f"machine {edge} belongs to site {site}, which this database does not know: suozhan-hub site add {site}, then "
                   "suozhan-hub reopen once more")
            return
        with ledger.transaction():
            new = ledger.register(body["name"], genesis, one.decided_ms)
        if strange:
            with self._engine.begin() as connection:
                connection.execute(edges.insert().values(edge=edge, site=site, machine="", enrolled_ms=one.decided_ms))
        if new or strange:
            self._declare(body)
            yield f"machine {edge} of site {site} is enrolled, with journal {body['journal']}"

    def _declare(self, body: Mapping[str, Any]) -> None:
        with self._engine.begin() as connection:
            query = sa.select(declarations).where(declarations.c.journal == body["journal"])
            if connection.execute(query).first() is None:
                connection.execute(declarations.insert().values(journal=body["journal"], edge=body["edge"], name=body["name"]))

    def _revoked(self, body: Mapping[str, Any], one: Decision) -> Iterator[str]:
        successor = body.get("successor")
        ended = edges.update().where(edges.c.edge == body["edge"], edges.c.revoked_ms.is_(None))
        if self._change(ended.values(revoked_ms=one.decided_ms, successor=successor, revoked_why=(
                followed_by(successor) if successor else said_by(body["by"], body["reason"])))):
            yield f"machine {body['edge']} is revoked, by {body['by']}: {body['reason']}"

    def _state(self, statement: str) -> None:
        number = open_epoch(statement, self._hub, self._log_key).number
        with TreeStore(self._database) as store:
            if number not in {one.number for one in stated(store, self._hub, self._log_key).values()}:
                store.add_epoch(number, statement)

    def _change(self, update: sa.Update) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(update).rowcount > 0


def _decisions(ledger: Ledger, own: JournalHead, after: int) -> Iterator[Decision]:
    """Those behind a position that are in clear, in order; up to a place that is damaged."""
    try:
        for entry in ledger.entries(own, after):
            record = parse_record(entry.payload)
            if isinstance(record.content, ClearBody):
                yield Decision(entry.position, record.kind, json.loads(record.content.data), record.times.claimed_ms)
    except Damaged as error:
        log.warning("what this hub decided behind a damaged place is not applied", error=str(error), next="suozhan-hub verify")


def _request(one: Decision) -> int:
    """The highest id of a request that it names; 0 when it names none."""
    if one.kind.startswith("request."):
        return int(one.body["id"])
    return int(one.body.get("requests_behind", 0)) if one.kind in {CONTINUED, "epoch.opened"} else 0


def _holes(decisions: list[Decision]) -> Iterator[tuple[UUID, Hole]]:
    """Whole again: one that is long was listed in several records, one behind the other."""
    parts = [one.body for one in decisions if one.kind == "hole.accepted"]
    while parts:
        journal, first, approval = UUID(parts[0]["journal"]), parts[0]["first"], parts[0]["approval"]["id"]
        records: list[dict[str, str]] = []
        while parts and (parts[0]["journal"], parts[0]["first"], parts[0]["approval"]["id"]) == (
                str(journal), first + len(records), approval):
            records += parts.pop(0)["records"]
        yield journal, Hole(first, b"", [bytes.fromhex(one["digest"]) for one in records],
                            [UUID(one["id"]) for one in records], approval)


def _accepted(ledger: Ledger, journal: UUID, hole: Hole) -> Iterator[str]:
    """Where the journal has come that far; where it has not, its machine shows the hole again."""
    where = f"the hole of journal {journal}, positions {hole.first} to {hole.last}"
    try:
        head = ledger.journal(journal)
    except UnknownJournal:
        return
    if head.closed:  # its machine carries over what it has, and names the rest
        return
    if head.position == hole.first - 1:
        with ledger.transaction():
            ledger.add_hole(journal, Hole(hole.first, head.digest, hole.digests, hole.ids, hole.approval))
        yield f"{where}, is accepted"
    elif head.position < hole.first - 1:
        yield f"{where}, has to be accepted again when its machine shows it"
