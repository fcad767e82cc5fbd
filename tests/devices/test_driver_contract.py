"""What every driver keeps, over its real stack: devices/contract.py, docs/drivers.md. Drivers that do not: bad_drivers.py."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from devices.contract import DeviceError, DeviceState, DeviceUnavailable, now
from devices.simulated.card import CardText
from devices.simulated.pcscd import VirtualReaders
from tests.devices.stands import (
    document_scanner,
    fingerprint,
    handling,
    id_card,
    printer,
    rating_pad,
    serial_scanner,
    social_card,
    wedge_scanner,
)
from tests.devices.stands.handling import Build, back, ended, given_up, on, pause, probed, read_once, under_way
from tests.devices.stands.stand import Presented, Stand
from tests.devices.testbed.machine import Machine, preloaded

CHINESE = re.compile("[\u4e00-\u9fff]")
AWAY = (DeviceState.NO_DEVICE, DeviceState.OFFLINE, DeviceState.POWER_OFF)
SPOILED_MAX_S = 0.6  # in which a driver could make a reading of what is none


PARAMS = ["social-card", "social-card 3", "id-card", "serial-scanner", "fingerprint", "document", "printer", "rating-pad"]


@pytest.fixture(params=["wedge-scanner"] if preloaded() else PARAMS)
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    """One param a driver."""
    if request.param == "fingerprint":
        return lambda: fingerprint.stand(tmp_path)
    if request.param == "social-card":
        virtual: VirtualReaders = request.getfixturevalue("virtual")
        person: CardText = request.getfixturevalue("zhang")
        return lambda: social_card.stand(tmp_path, virtual, "Suozhan Virtual A", person)
    if request.param == "social-card 3":
        virtual = request.getfixturevalue("virtual")
        third = replace(request.getfixturevalue("zhang"), generation=3)
        return lambda: social_card.with_psam(tmp_path, virtual, "Suozhan Virtual A", "Suozhan Virtual B", third)
    if request.param == "id-card":
        return lambda: id_card.stand(tmp_path)
    if request.param == "rating-pad":
        return lambda: rating_pad.stand(tmp_path)
    if request.param == "serial-scanner":
        return lambda: serial_scanner.stand(tmp_path)
    if request.param == "wedge-scanner":
        machine: Machine = request.getfixturevalue("machine")
        return lambda: wedge_scanner.stand(machine)
    if request.param == "document":
        request.getfixturevalue("sane")
        return lambda: document_scanner.stand(tmp_path)
    if request.param == "printer":
        request.getfixturevalue("ipp_printer")
        return lambda: printer.stand(tmp_path)
    raise AssertionError(request.param)


def hint_of(error: BaseException | None) -> str:
    """What the person at the counter is told; an error without that is not one of the three endings."""
    assert isinstance(error, DeviceError), f"this is a bug of the driver, and none of its endings: {error!r}"
    assert CHINESE.search(error.hint), f"no hint for the counter: {error!r}"
    return error.hint


def test_a_probe_says_which_device_it_is_and_changes_nothing(stand: Build) -> None:
    async def act(one: Stand) -> None:
        first = await one.driver().probe()
        assert first.state is DeviceState.ONLINE
        assert first.identity is not None
        assert first.identity.model or first.identity.serial
        assert await one.driver().probe() == first
        await pause()
        assert not one.touched(), f"a probe told the device something: {one.touched()}"
        assert (await read_once(one, one.driver())).kind == one.kind  # what was probed can be taken at once

    on(stand, act)


def test_a_probe_beside_a_reader_disturbs_no_reading(stand: Build) -> None:
    async def act(one: Stand) -> None:
        first = one.presented in (Presented.BEFORE, Presented.ALWAYS)
        if first:
            await one.present()
        async with asyncio.timeout(handling.READ_MAX_S), one.driver() as driver:
            reading = asyncio.create_task(driver.read())
            status = await one.driver().probe()
            if not first:
                await one.present()
            assert (await reading).kind == one.kind
        assert status.state in (DeviceState.ONLINE, DeviceState.DEVICE_BUSY)

    on(stand, act)


def test_a_device_that_is_not_there_is_said_to_be_away_and_can_not_be_taken(stand: Build) -> None:
    async def act(one: Stand) -> None:
        await one.unplug()
        status = await one.driver().probe()
        assert status.state in AWAY, f"it is said to be {status.state}"
        with pytest.raises(DeviceUnavailable) as away:
            async with one.driver():
                raise AssertionError("it was taken")
        assert hint_of(away.value)
        await one.plug()
        assert (await read_once(one, one.driver())).kind == one.kind

    on(stand, act)


def test_two_readings_are_two_however_equal_and_say_where_and_when_they_were_made(stand: Build) -> None:
    async def act(one: Stand) -> None:
        status, begun = await one.driver().probe(), now()
        first, second = [await read_once(one, one.driver()) for _ in range(2)]
        assert first.id != second.id, "a reading has an id of its own"
        assert begun <= first.observed_at <= second.observed_at <= now(), "it was not observed when it was"
        assert (first.kind, first.simulated) == (one.kind, one.simulated), "it does not say what it is"
        assert first.device == one.device, "it names another device"
        assert status.identity is not None
        assert first.serial == status.identity.serial, "its serial is not that of the device"
        shown = repr(first).replace(str(first.id), "")
        assert not [secret for secret in one.secrets if secret in shown], "its repr shows a person's data"

    on(stand, act)


def test_what_one_person_presents_is_never_given_for_another(stand: Build) -> None:
    async def act(one: Stand) -> None:
        driver = one.driver()
        first = await read_once(one, driver)
        other = await read_once(one, driver, one.present_other)
        again = await read_once(one, one.driver())
        assert other.data != first.data, "two people, the same data"
        assert other.data != again.data, "two people, the same data"

    on(stand, act)


def test_what_was_presented_and_gone_before_anybody_asked_is_no_answer(stand: Build) -> None:
    async def act(one: Stand) -> None:
        asked = await read_once(one, one.driver())
        await one.present_other()
        await pause()
        again = await read_once(one, one.driver())
        assert one.presented is not Presented.IN_A_MOMENT or again.data == asked.data, "it is of somebody before"

    on(stand, act)


def test_what_is_no_reading_gives_none(stand: Build) -> None:
    async def act(one: Stand) -> None:
        first = one.presented in (Presented.BEFORE, Presented.ALWAYS)
        if first:
            await one.spoil()
        reading = await under_way(one.driver())
        if not first:
            await one.spoil()
        await asyncio.wait([reading], timeout=SPOILED_MAX_S)
        if reading.done():
            assert await ended(reading) is not None, f"a reading was made of noise: {reading.result()}"
            assert hint_of(await ended(reading))
        else:
            await given_up(reading)
        await back(one)

    on(stand, act)


def test_a_device_unplugged_while_it_is_read_ends_the_reading_and_comes_back(stand: Build) -> None:
    async def act(one: Stand) -> None:
        if one.presented is Presented.BEFORE:
            await one.present()
        await one.hang()  # so that the reading is under way
        reading = await under_way(one.driver())
        await one.unplug()
        assert hint_of(await ended(reading))
        await one.plug()
        assert (await read_once(one, one.driver())).kind == one.kind

    on(stand, act)


def test_a_device_that_hangs_holds_up_nobody_who_gives_up(stand: Build) -> None:
    async def act(one: Stand) -> None:
        if one.presented is Presented.BEFORE:
            await one.present()
        await one.hang()
        await probed(one)
        reading = await under_way(one.driver())
        await given_up(reading)
        await one.wake()
        await back(one)

    on(stand, act)


def test_nobody_presents_anything_and_the_wait_can_be_given_up(stand: Build) -> None:
    async def act(one: Stand) -> None:
        waiting = await under_way(one.driver())
        if not waiting.done():
            await given_up(waiting)
        elif one.presented is not Presented.ALWAYS:
            assert isinstance(await ended(waiting), DeviceUnavailable), "a reading of nothing"  # a slot without a card says so
        assert (await read_once(one, one.driver())).kind == one.kind

    on(stand, act)
