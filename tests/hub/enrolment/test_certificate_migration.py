"""A hub that enrolled machines before certificates could renew: each goes on with the certificate it has."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from alembic import command
from alembic.config import Config

from hub.database import open_engine
from hub.enrolment.generations import History, history, issued_as
from hub.migrate import make_blank, upgrade
from security.suites import sha256

EDGE = UUID(int=7)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of migration 0002 with one machine."""
    path = tmp_path / "hub.db"
    make_blank(path)
    engine = open_engine(path)
    config = Config()
    config.set_main_option("script_location", "hub:migrations")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.commit()
    engine.dispose()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO sites VALUES ('A01', '古魏镇服务所', 'office', '')")
        db.execute("INSERT INTO edges VALUES (?, 'A01', '窗口1', 111, NULL)", (str(EDGE),))
        db.execute("INSERT INTO invitations VALUES ('i', 'A01', x'00', 1, 2, ?)", (str(EDGE),))
        db.execute("INSERT INTO certificates VALUES (x'aa', 'i', ?, x'bb', x'cc', 222)", (str(EDGE),))
    return path


def test_an_enrolled_machine_keeps_its_certificate_as_the_first_generation(old: Path) -> None:
    engine = open_engine(old)
    upgrade(engine)
    with engine.connect() as connection:
        assert history(connection, EDGE) == History(None, 0, -1)
        held = issued_as(connection, EDGE, sha256(b"\xbb"))
        assert held is not None
        assert (held.generation, held.csr_hash, held.certificate, held.not_after_ms, held.issued_ms, held.first_used_ms) == (
            0, b"\xaa", b"\xbb", 222, 111, None)
        enrolment = connection.exec_driver_sql("SELECT csr_hash, invitation, edge, record_key_id FROM enrolments").one()
        assert tuple(enrolment) == (b"\xaa", "i", str(EDGE), b"\xcc")
    engine.dispose()
