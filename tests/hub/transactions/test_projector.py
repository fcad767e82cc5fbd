"""The projection in the face of rogue machines: what one record says is never in the way of another's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.database import open_engine
from hub.enrolment.sites import add_site
from hub.enrolment.tables import edges
from hub.ledger.runs import Arrival
from hub.ledger.store import Ledger
from hub.projection.projector import Projector
from hub.projection.tables import findings
from hub.transactions.tables import transactions
from hub.transactions.view import TransactionView
from security.chain import leaf_hash
from security.record import ClearBody, Content, Record, SealedBody, Times, WrappedKey, sign_link
from security.run import Run
from security.sealing import DataKey
from tests.spine import Spine, damage

UINT64 = st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1), st.integers(2**63 - 2, 2**63 + 1))

ANYTHING = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=70), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3),
                            st.dictionaries(st.sampled_from(["name", "verified", "id_number"]), inner)),
    max_leaves=4,
)
SAID = st.fixed_dictionaries({}, optional=dict.fromkeys(("item", "channel", "operator", "resident"), ANYTHING))


class Rogue:
    """A machine that signs whatever it likes, well, straight into the ledger."""

    def __init__(self, spine: Spine) -> None:
        self.spine = spine
        self.key = DataKey(spine.edge_id, spine.journal_id)

    def write(self, content: Content, kind: str = "transaction", claimed_ms: int = 1) -> int:
        """Returns the record's position."""
        spine, now_ms = self.spine, self.spine.clock.unix_ms()
        with Ledger(spine.hub_db) as ledger:
            head = ledger.journal(spine.journal_id)
            position = head.position + 1
            times = Times(claimed_ms, 0, bytes(16), 1)
            payload = Record(uuid4(), spine.edge_id, spine.journal_id, position, kind, times, False, content).payload()
            link = sign_link(spine.signer, head.digest, payload)
            leaf = leaf_hash(spine.signer.key_id, spine.journal_id.bytes, position, link.digest, link.signature, now_ms)
            run = Run(position, head.digest, [payload], [link.signature])
            ledger.append([Arrival(spine.journal_id, run, [link.digest], [leaf], now_ms)])
        return position

    def begin(self) -> None:
        self.write(self.key.wrap(self.spine.sealing.public_key().public_bytes_raw()), "data-key")

    def transact(self, body: bytes | None = None) -> int:
        with Ledger(self.spine.hub_db) as ledger:
            position = ledger.journal(self.spine.journal_id).position + 1
        data = transaction() if body is None else body
        return self.write(self.key.seal(data, key_position=1, position=position, kind="transaction"))


def transaction(**said: object) -> bytes:
    body = {"item": "003-01", "channel": "counter", "operator": {"name": "李芳", "verified": False},
            "resident": {"name": "王秀英", "id_number": "11010519491231002X"}}
    return json.dumps(body | said).encode()


def sound(spine: Spine) -> Iterator[tuple[Rogue, sa.Engine]]:
    engine = open_engine(spine.hub_db)
    add_site(engine, "A01", "古魏镇服务所", "office", "")
    with engine.begin() as connection:
        connection.execute(edges.insert().values(edge=str(spine.edge_id), site="A01", machine="窗口1", enrolled_ms=1))
    rogue = Rogue(spine)
    rogue.begin()
    yield rogue, engine
    engine.dispose()


@pytest.fixture
def rogue(tmp_path: Path) -> Iterator[tuple[Rogue, sa.Engine]]:
    yield from sound(Spine(tmp_path))


@pytest.fixture(scope="module")
def lasting_rogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rogue, sa.Engine]]:
    yield from sound(Spine(tmp_path_factory.mktemp("rogue")))


def project(rogue: Rogue, engine: sa.Engine) -> None:
    projector = Projector(engine, rogue.spine.hub_db, rogue.spine.unsealer(), [TransactionView(engine)])
    while projector.step():
        pass


def positions(engine: sa.Engine, table: sa.Table) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(table.c.position).order_by(table.c.cursor)).scalars())


@given(content=st.one_of(
    st.builds(SealedBody, UINT64, UINT64, st.integers(0, 2**32 - 1), st.binary(max_size=60)),
    st.builds(WrappedKey, st.binary(max_size=40), st.binary(max_size=100)),
    st.builds(ClearBody, st.binary(max_size=60)),
), kind=st.one_of(st.just("transaction"), st.text(min_size=1, max_size=64)), claimed_ms=UINT64)
@example(content=SealedBody(2**63, 1, 1, b"x"), kind="transaction", claimed_ms=0)
@example(content=SealedBody(2**64 - 1, 2**64 - 1, 0, b""), kind="transaction", claimed_ms=2**64 - 1)
@settings(max_examples=50, deadline=None)
def test_whatever_a_record_says_the_one_behind_it_is_projected(
    lasting_rogue: tuple[Rogue, sa.Engine], content: Content, kind: str, claimed_ms: int
) -> None:
    rogue, engine = lasting_rogue
    strange = rogue.write(content, kind, claimed_ms)
    after = rogue.transact()
    project(rogue, engine)
    assert positions(engine, transactions)[-1] == after
    if kind == "transaction" and isinstance(content, SealedBody):
        assert positions(engine, findings)[-1] == strange


@given(body=st.one_of(st.binary(max_size=60), SAID.map(lambda said: transaction(**said))))
@example(body=transaction(item="\ud800"))
@example(body=b"[" * 40_000)
@settings(max_examples=50, deadline=None)
def test_whatever_a_body_says_the_record_behind_it_is_projected(lasting_rogue: tuple[Rogue, sa.Engine], body: bytes) -> None:
    rogue, engine = lasting_rogue
    strange = rogue.transact(body)
    after = rogue.transact()
    project(rogue, engine)
    assert positions(engine, transactions)[-1] == after
    assert strange in positions(engine, transactions)[-2:] + positions(engine, findings)[-1:]


def test_a_record_that_trips_this_program_is_a_finding_that_does_not_quote_it(
    rogue: tuple[Rogue, sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, engine = rogue

    def trips(data: bytes) -> None:
        raise OverflowError(data.decode())

    monkeypatch.setattr("hub.transactions.view.parse_body", trips)
    machine.transact()
    project(machine, engine)
    with engine.connect() as connection:
        reason = connection.execute(sa.select(findings.c.reason)).scalar_one()
    assert "OverflowError" in reason
    assert "11010519491231002X" not in reason


@pytest.mark.parametrize("which", ["idx = 2", "idx = (SELECT max(idx) FROM runs)"])
@pytest.mark.parametrize("count", ["count + 1", "count + 1000", "-1"])
def test_a_damaged_row_is_a_finding_and_what_is_behind_it_is_projected(
    rogue: tuple[Rogue, sa.Engine], which: str, count: str
) -> None:
    machine, engine = rogue
    sound = [machine.transact() for _ in range(3)]
    damage(machine.spine.hub_db, f"UPDATE runs SET count = {count} WHERE {which}")
    project(machine, engine)
    with engine.connect() as connection:
        assert "does not hold what it says" in connection.execute(sa.select(findings.c.reason)).scalar_one()
    assert positions(engine, transactions) == (sound[1:] if which == "idx = 2" else sound[:-1])


def test_a_record_whose_data_key_is_damaged_is_a_finding(rogue: tuple[Rogue, sa.Engine]) -> None:
    machine, engine = rogue
    project(machine, engine)
    machine.transact()
    damage(machine.spine.hub_db, "UPDATE runs SET count = count + 1 WHERE first = 1 AND journal = 2")
    project(machine, engine)
    assert positions(engine, findings) == [2]
