"""Another journal of a machine that works here: the record key that is registered speaks for it. A repeat changes nothing."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
import structlog

from hub.enrolment.desk import JOURNALS_MAX, EnrolmentRefused, declare, declared
from hub.enrolment.tables import edges
from hub.ledger.journal_head import JournalHead
from hub.ledger.own_journal import OwnJournal
from hub.ledger.reader import LedgerReader
from hub.names import name_fault
from security.chain import Genesis
from security.invitations import declaration_proof
from security.suites import Verifier

REJOIN = "let it rejoin: suozhan-edge rejoin --reason TEXT"

log = structlog.get_logger()


class DeclarationDesk:
    """Synchronous; call it in a thread."""

    def __init__(self, engine: sa.Engine, database: Path, own_journal: OwnJournal) -> None:
        self._engine = engine
        self._database = database
        self._own_journal = own_journal

    def declare(self, edge: UUID, journal: UUID, name: str, signature: bytes) -> None:
        """Raises EnrolmentRefused; then nothing has changed."""
        head = self._journal(edge)
        verifier = Verifier(head.suite, head.public_key)
        if not verifier.valid(signature, declaration_proof(edge, journal, name)):
            raise EnrolmentRefused("the machine did not prove that it holds its record key; call the city's IT desk")
        if name_fault(name) or not name:
            raise EnrolmentRefused("the name of a journal cannot be printed or is too long; update this machine's program")
        with self._engine.begin() as connection:
            # Takes the write lock first: two requests of one machine cannot both find room.
            connection.execute(sa.update(edges).where(edges.c.edge == str(edge)).values(edge=edges.c.edge))
            claimed = declared(connection, str(edge))
            if (journal, name) not in claimed:
                if name in {one for _, one in claimed} or len(claimed) >= JOURNALS_MAX:
                    raise EnrolmentRefused(f"this machine has a journal {name!r} already, or {JOURNALS_MAX} of them; {REJOIN}")
                declare(connection, edge, [(journal, name)])
            site = connection.execute(sa.select(edges.c.site).where(edges.c.edge == str(edge))).scalar_one()
        # Also after a repeat: a crash between the two commits is mended here.
        self._own_journal.register_machine([(name, Genesis(edge, journal, verifier.suite, verifier.public_key))], site)
        log.info("journal declared", edge=str(edge), journal=str(journal), name=name)

    def _journal(self, edge: UUID) -> JournalHead:
        """One of the machine's own, which says its key."""
        with LedgerReader(self._database) as ledger:
            own = [head for head in ledger.journals() if head.edge == edge and not head.closed]
        if not own:
            raise EnrolmentRefused(f"machine {edge} has no journal here that goes on; {REJOIN}")
        return own[0]
