"""A machine that enrolled before it had a journal of events gets one over the line, whatever becomes of the line."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

import edge.declaration
from edge.declaration import Declaration
from edge.identity import Identity, load_identity
from edge.journal_check import JournalCheck
from edge.line import HubRefused, Line, LineLost
from edge.state import StateFolder
from security.invitations import declaration_proof
from security.signer import Ed25519Signer
from security.suites import Verifier
from tests.edge.machine import enrolled
from tests.spine import CEILING_S, HandClock


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """As an earlier version left it."""
    state = enrolled(tmp_path / "edge")
    replace(load_identity(state.identity), events="").save(state.identity)
    state.events.db.unlink()
    state.events.id.unlink()
    return state


def test_it_is_declared_under_one_id_until_the_hub_has_it(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.declaration, "RETRY_S", 0.01)
    key = Ed25519Signer.load(state.record_key)
    meets = [LineLost("away"), HubRefused("an older hub", 0.01), LineLost("the answer was lost")]
    asked: list[UUID] = []

    async def declare(journal: UUID, name: str, signature: bytes) -> None:
        proof = declaration_proof(load_identity(state.identity).edge_id, journal, name)
        assert Verifier(key.suite, key.public_key).valid(signature, proof)
        asked.append(journal)
        if meets:
            raise meets.pop(0)

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            await Declaration(state.events, declare, Line("replicate", HandClock(), Random(1))).run()

    before = load_identity(state.identity)
    assert set(before.journals) == {"business"}
    asyncio.run(scenario())
    assert len(asked) == 4
    assert len(set(asked)) == 1
    assert load_identity(state.identity) == replace(before, events=str(asked[0]))
    with JournalCheck(state.events.db) as check:
        assert (check.identity.name, check.identity.genesis.journal, check.identity.genesis.public_key) == (
            "events", asked[0], key.public_key)


def test_a_crash_before_the_identity_names_it_costs_nothing(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 11."""
    asked: list[UUID] = []

    async def declare(journal: UUID, _name: str, _signature: bytes) -> None:
        asked.append(journal)

    async def once() -> None:
        async with asyncio.timeout(CEILING_S):
            await Declaration(state.events, declare, Line("replicate", HandClock(), Random(1))).run()

    def dies(self: Identity, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(Identity, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(once())
    assert set(load_identity(state.identity).journals) == {"business"}
    asyncio.run(once())
    assert [load_identity(state.identity).journals["events"]] * 2 == asked
