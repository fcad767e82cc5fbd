"""The agent as a whole: it stops when it is asked to, whatever it is about to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import edge.assembly
from devices.simulated.folder import ReaderFolder
from devices.simulated.serials import made_up
from edge.agent import Agent, NextIdentity
from edge.assembly import run_edge
from edge.equipment import departures
from edge.equipment.device_list import DEVICES
from edge.identity import load_identity
from edge.resources import NEVER, ResourceStore, SignedResource
from edge.state import StateFolder
from hub.fleet.device_list import encode_device_list
from hub.resources.payload import encode_payload
from hub.resources.versions import NamedVersion, Version
from security.clock import SystemClock
from security.signer import Ed25519Signer
from security.statements import sign_resource
from tests.edge.machine import enrolled
from tests.spine import CEILING_S


def test_an_agent_goes_on_with_identity_after_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 0

    async def ended() -> None:
        await asyncio.sleep(0)
        raise NextIdentity

    async def work(_agent: Agent, ready: Callable[[], None]) -> None:
        nonlocal begun
        begun += 1
        if begun == 3:
            ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ended() if begun < 3 else asyncio.sleep(CEILING_S))

    monkeypatch.setattr(edge.assembly, "_work", work)

    async def scenario() -> None:
        ready = asyncio.Event()
        async with asyncio.timeout(CEILING_S):
            agent = asyncio.create_task(run_edge(enrolled(tmp_path / "edge"), SystemClock(), ready.set))
            await asyncio.wait([agent, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
            assert not agent.done()
            agent.cancel()
            await asyncio.wait([agent])

    asyncio.run(scenario())
    assert begun == 3


def test_an_agent_that_is_asked_to_stop_as_it_goes_on_with_another_identity_stops(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 0

    async def ended() -> None:
        raise NextIdentity

    async def work(_agent: Agent, ready: Callable[[], None]) -> None:
        nonlocal begun
        begun += 1
        async with asyncio.TaskGroup() as tasks:
            if begun == 1:
                tasks.create_task(ended())
                ready()
            await asyncio.Event().wait()

    monkeypatch.setattr(edge.assembly, "_work", work)

    async def scenario() -> None:
        def stop() -> None:
            agent.cancel()

        async with asyncio.timeout(CEILING_S):
            agent = asyncio.create_task(run_edge(enrolled(tmp_path / "edge"), SystemClock(), stop))
            await asyncio.wait([agent])
            assert agent.cancelled()

    asyncio.run(scenario())
    assert begun == 1


def hold(state: StateFolder, device_list: str) -> None:
    """As if the hub had published it, and the machine had applied it."""
    signer = Ed25519Signer(Ed25519PrivateKey.generate())
    identity = replace(load_identity(state.identity), hub_resource_key=signer.public_key.hex())
    identity.save(state.identity)
    payload = encode_payload(NamedVersion("devices", Version(1, 1)), str(identity.edge_id), NEVER,
                             encode_device_list(device_list.encode()))
    store = ResourceStore(state.resources, [identity.edge_id], identity.resource_verifier(), SystemClock(), [DEVICES])
    store.apply(SignedResource(signer.key_id, payload, sign_resource(signer, payload)))


def test_a_reader_that_the_hub_has_named_has_no_other_name_at_the_start(tmp_path: Path) -> None:
    state = enrolled(tmp_path / "edge")
    hold(state, f'[[devices]]\nname = "card-1"\nkind = "social-card"\nserial = "{made_up("R1")}"')
    ReaderFolder(state.root / "cards").plug("R1")

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            agent = asyncio.create_task(run_edge(state, SystemClock(), lambda: None))
            while not state.devices.exists():
                await asyncio.sleep(0.01)
                assert not agent.done()
            agent.cancel()
            await asyncio.wait([agent])

    asyncio.run(scenario())
    assert list(json.loads(state.devices.read_bytes())) == ["card-1"]


def test_an_agent_tells_of_a_device_that_left_its_list_while_the_agent_was_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departures, "LOOK_S", 0.01)
    state = enrolled(tmp_path / "edge")
    told_of(state, {"printer-1": "hub"})
    hold(state, "devices = []")
    asyncio.run(until_forgotten(state, "printer-1"))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x")])
def test_a_machine_whose_list_is_damaged_does_not_take_its_devices_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    monkeypatch.setattr(departures, "LOOK_S", 0.01)
    state = enrolled(tmp_path / "edge")
    hold(state, '[[devices]]\nname = "printer-1"\nkind = "printer"\nuri = "ipp://127.0.0.1:9/ipp"')
    damage(state.resources / "devices.resource")
    for own in ("printer-8", "printer-9"):  # also at the start after that, when the file is only gone
        told_of(state, {"printer-1": "hub", own: "machine"})
        asyncio.run(until_forgotten(state, own))
        assert list(json.loads(state.devices.read_bytes())) == ["printer-1"]


def test_card_readers_that_were_never_listed_are_still_looked_for_after_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departures, "LOOK_S", 0.01)
    state = enrolled(tmp_path / "edge")
    hold(state, "devices = []")
    told_of(state, {"ACS ACR39U 00 00": "", "printer-9": "machine"})
    asyncio.run(until_forgotten(state, "printer-9"))
    assert list(json.loads(state.devices.read_bytes())) == ["ACS ACR39U 00 00"]


def told_of(state: StateFolder, listers: dict[str, str]) -> None:
    """As if the machine had told that each is at fault."""
    fault = {"condition": "faulty", "identity": None, "reasons": ["paperJammed"]}
    told = {name: {**fault, "listed": lister} for name, lister in listers.items()}
    state.devices.write_text(json.dumps(told), encoding="utf-8")


async def until_forgotten(state: StateFolder, name: str) -> None:
    """Of an agent that runs for that, and for some looks more."""
    async with asyncio.timeout(CEILING_S):
        agent = asyncio.create_task(run_edge(state, SystemClock(), lambda: None))
        while name in state.devices.read_text(encoding="utf-8"):
            await asyncio.wait([agent], timeout=0.01)
            assert not agent.done()
        await asyncio.wait([agent], timeout=0.2)
        agent.cancel()
        await asyncio.wait([agent])
