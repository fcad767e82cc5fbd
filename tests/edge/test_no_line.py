"""A TLS key or certificate that cannot be used keeps the line away, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from edge import no_line
from edge.assembly import run_edge
from edge.examination import read_diagnosis
from edge.identity import load_identity
from edge.no_line import NoLine
from edge.state import StateFolder
from edge.status import describe
from edge.tls_pair import load_pair
from security.clock import SystemClock
from security.private_files import read_private, write_private
from security.signer import BadKey
from tests.edge.machine import enrolled
from tests.spine import CEILING_S


def _flip(state: StateFolder) -> None:
    whole = bytearray(state.tls_key.read_bytes())
    whole[60] ^= 1
    state.tls_key.write_bytes(whole)


def _pair_of_another(state: StateFolder) -> None:
    other = enrolled(state.root.parent / "other")
    write_private(state.tls_pair, read_private(other.tls_key) + load_identity(other.identity).chain.encode())


HARMS: dict[str, Callable[[StateFolder], None]] = {
    "flipped": _flip, "gone": lambda state: state.tls_key.unlink(), "exposed": lambda state: state.tls_key.chmod(0o644),
    "another machine's": _pair_of_another}


@pytest.mark.parametrize("harm", HARMS)
def test_without_a_usable_tls_key_the_counters_door_is_open_and_says_why_there_is_no_line(tmp_path: Path, harm: str) -> None:
    state = enrolled(tmp_path / "edge")
    HARMS[harm](state)

    async def scenario() -> None:
        ready = asyncio.Event()
        async with asyncio.timeout(CEILING_S):
            agent = asyncio.create_task(run_edge(state, SystemClock(), ready.set))
            await asyncio.wait([agent, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
            assert ready.is_set(), agent
            while read_diagnosis(state.diagnosis) is None:
                await asyncio.sleep(0.01)
            agent.cancel()
            await asyncio.wait([agent])

    asyncio.run(scenario())
    text = asyncio.run(describe(state, []))
    assert "line:             this machine cannot prove to the hub who it is" in text
    assert "certificate:      none that can be used" in text
    assert "rejoin TOKEN --reason" in text
    assert str(state.tls_pair if state.tls_pair.exists() else state.tls_key) in text


def test_a_file_that_was_put_back_ends_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(no_line, "LOOK_S", 0.01)
    state = enrolled(tmp_path / "edge")
    identity, whole = load_identity(state.identity), state.tls_key.read_bytes()
    _flip(state)
    with pytest.raises(BadKey) as caught:
        load_pair(state, identity)

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            waiting = asyncio.create_task(NoLine(state, identity, caught.value, state.diagnosis, SystemClock()).run())
            await asyncio.sleep(0.1)
            assert not waiting.done()
            state.tls_key.write_bytes(whole)
            await waiting

    asyncio.run(scenario())
