"""Readings that a transaction may name: for ten minutes, whatever else is read meanwhile, and in memory no longer."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from devices.contract import Reading
from devices.simulated.card import CardText
from edge.door import readings
from edge.door.readings import READING_MAX_AGE_MS, READINGS_MAX, RecentReadings
from tests.edge.door.test_door import Counter, at_the_door
from tests.spine import HandClock


def _reading(device: str) -> Reading[str]:
    return Reading(device, "barcode", "text", simulated=True)


def test_whoever_asks_one_device_again_and_again_pushes_out_no_reading_of_another() -> None:
    recent = RecentReadings(HandClock())
    finger, [first, *others] = _reading("finger-1"), [_reading("printer-1") for _ in range(READINGS_MAX + 1)]
    for one in (finger, first, *others):
        recent.keep(one)
    assert recent.find(finger.id) is finger
    assert recent.find(first.id) is None
    assert all(recent.find(one.id) is one for one in others)


def test_a_reading_that_nothing_can_name_any_more_is_in_memory_no_longer(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "LOOK_S", 0.01)

    async def visit(counter: Counter) -> None:
        counter.readers.insert("R1", CardText(name="王秀英", id_number="11010519491231002X"))
        reading = (await counter.client.post("/v1/readers/R1/read")).json()["id"]
        assert reading in _in_memory()
        counter.spine.clock.up_ms += READING_MAX_AGE_MS + 1
        while reading in _in_memory():
            await asyncio.sleep(0.01)

    at_the_door(tmp_path, visit)


def _in_memory() -> set[str]:
    gc.collect()
    return {str(one.id) for one in gc.get_objects() if isinstance(one, Reading)}
