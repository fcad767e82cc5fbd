"""The machines as the reading API lists them, over a real database: who is connected, what waits, whose device is whose."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from hub.api.messages import EdgeAnswer
from hub.api.questions import Questions
from hub.enrolment.callers import Caller
from hub.enrolment.open_streams import OpenStreams, Presence
from hub.enrolment.renewals import ApprovalWaits
from hub.enrolment.revocation import revoke
from hub.fleet.tables import device_events
from hub.resources.store import store_report
from hub.resources.versions import NamedVersion, Report, Version
from tests.rejoining import Identity, RejoiningHub

CURSORS = count(1)
LOST = "找不到扫码枪。请检查连接线是否插好、电源是否打开。"


@pytest.fixture
def hub(tmp_path: Path) -> RejoiningHub:
    return RejoiningHub(tmp_path)


@pytest.fixture
def machine(hub: RejoiningHub) -> Identity:
    return Identity(hub).enrol()


def questions(hub: RejoiningHub) -> Questions:
    return Questions(hub.engine, hub.folder / "hub.db", hub.alarms, hub.approvals)


def seen(hub: RejoiningHub, machine: Identity, *connected: UUID, last_ms: int | None = None) -> EdgeAnswer:
    presence = Presence(frozenset(connected), {} if last_ms is None else {machine.edge: last_ms})
    answers = questions(hub).edges(hub.clock.unix_ms(), presence)
    return next(one for one in answers if one.edge == str(machine.edge))


def tell(hub: RejoiningHub, machine: Identity, device: str, event: str, diagnosis: str = "") -> None:
    """As the projection does it."""
    with hub.engine.begin() as connection:
        connection.execute(device_events.insert().values(
            cursor=next(CURSORS), arrived_ms=1, noticed_ms=1, edge=str(machine.edge), journal="", position=1, record="",
            simulated=0, event=event, device=device, kind="barcode", state="online", reasons="", model="", serial="",
            serial_before="", mender="counter" if diagnosis else "", diagnosis=diagnosis))


def test_a_machine_that_never_came_one_that_is_here_and_one_that_went(hub: RejoiningHub, machine: Identity) -> None:
    now_ms = hub.clock.unix_ms()
    never = seen(hub, machine)
    assert (never.condition, never.connected, never.last_heard_ms) == ("never-heard", False, None)
    here = seen(hub, machine, machine.edge)
    assert (here.condition, here.connected, here.last_heard_ms) == ("connected", True, now_ms)
    assert here.diagnosis == "已连接，一切正常。"
    went = seen(hub, machine, last_ms=now_ms - 7_200_000)
    assert (went.condition, went.connected, went.last_heard_ms) == ("silent", False, now_ms - 7_200_000)
    assert "最后一次联系在 2 小时前" in went.diagnosis


def test_a_certificate_that_ended_is_said_with_the_line(hub: RejoiningHub, machine: Identity) -> None:
    before_ms = hub.clock.unix_ms()
    hub.clock.now_ms += 31 * 24 * 3_600_000
    assert seen(hub, machine, last_ms=before_ms).condition == "certificate-expired"


def test_a_request_that_waits_is_told_at_its_machine_and_then_who_follows(hub: RejoiningHub, machine: Identity) -> None:
    new = Identity(hub, machine)
    with pytest.raises(ApprovalWaits) as waits:
        hub.rejoins.admit(new.request())
    waiting = seen(hub, machine, machine.edge)
    assert (waiting.condition, waiting.mender, waiting.requests) == ("waiting-for-approval", "desk", [waits.value.approval])
    new.rejoin()
    followed = seen(hub, machine)
    assert (followed.condition, followed.successor, followed.requests) == ("followed", str(new.edge), [])
    assert str(new.edge) in followed.diagnosis


def test_a_machine_that_a_person_revoked_says_why(hub: RejoiningHub, machine: Identity) -> None:
    revoke(hub.engine, hub.own, str(machine.edge), "李芳", "stolen", hub.clock.unix_ms())
    told = seen(hub, machine)
    assert (told.condition, told.revoked) == ("revoked", True)
    assert "stolen (李芳)" in told.diagnosis


@pytest.mark.parametrize("kind", ["clone", "certificate-superseded"])
def test_a_copy_is_told_until_its_alarm_is_cleared(hub: RejoiningHub, machine: Identity, kind: str) -> None:
    hub.alarms.raise_alarm(kind, str(machine.edge), "a copy of its disk")
    assert seen(hub, machine, machine.edge).condition == "cloned"
    hub.alarms.clear(hub.alarms.open_alarms()[0].id, "李芳")
    assert seen(hub, machine, machine.edge).condition == "connected"


def test_a_list_that_the_machine_did_not_apply_is_told(hub: RejoiningHub, machine: Identity) -> None:
    store_report(hub.engine, machine.edge, Report(NamedVersion("devices", Version(1, 1)), False, "no such kind"), 1)
    told = seen(hub, machine, machine.edge)
    assert (told.condition, told.mender) == ("resource-refused", "desk")
    assert "devices: no such kind" in told.diagnosis


def test_devices_that_ail_are_counted_and_the_first_is_told(hub: RejoiningHub, machine: Identity) -> None:
    for device in ("scan-1", "scan-2", "scan-3"):
        tell(hub, machine, device, "fault", LOST)
    tell(hub, machine, "scan-1", "recovered")
    told = seen(hub, machine, machine.edge)
    assert (told.condition, told.mender, told.devices_ailing) == ("devices", "counter", 2)
    assert told.diagnosis == f"有 2 台设备需要处理，先看 scan-2：{LOST}"
    stranger = Identity(hub).enrol()
    assert seen(hub, stranger, stranger.edge).devices_ailing == 0


def test_what_a_machine_told_of_devices_stays_known_when_it_begins_anew(hub: RejoiningHub, machine: Identity) -> None:
    tell(hub, machine, "scan-1", "fault", LOST)
    tell(hub, machine, "scan-2", "fault", LOST)
    new = Identity(hub, machine)
    new.rejoin()
    assert seen(hub, new, new.edge).devices_ailing == 2
    assert seen(hub, machine).devices_ailing == 0
    tell(hub, new, "scan-1", "recovered")
    assert seen(hub, new, new.edge).devices_ailing == 1
    assert [(one.device, one.event) for one in questions(hub).devices(new.edge)] == [("scan-1", "recovered"), ("scan-2", "fault")]


def test_a_stream_says_who_is_connected_and_when_the_last_one_ended(hub: RejoiningHub) -> None:
    caller = Caller(UUID(int=1), 0, 2**60)

    async def scenario() -> None:
        streams = OpenStreams(hub.engine, hub.clock)
        assert streams.presence() == Presence()
        with streams.open(caller):
            with streams.open(caller):
                pass
            assert streams.presence().connected == {caller.edge}
            hub.clock.now_ms += 5
        assert streams.presence() == Presence(frozenset(), {caller.edge: hub.clock.unix_ms()})

    asyncio.run(scenario())
