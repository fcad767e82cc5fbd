"""What `suozhan-edge doctor` says of a machine, and who mends what is wrong."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest

from deploy.demo.processes import free_port
from devices.plugged import Plugged, PluggedKind
from devices.simulated.folder import ReaderFolder
from edge import assembly
from edge.agent_lock import agent_lock
from edge.alarms import Alarms
from edge.assembly import run_edge
from edge.doctor import examine, told
from edge.door.pairing import Pairing
from edge.finding import Finding
from edge.journal_end import write_stop
from edge.state import StateFolder
from security import durable_sqlite
from security.clock import SystemClock
from tests.edge.machine import enrolled, fill
from tests.spine import CEILING_S, damage

CARD = "里的卡或材料读不了。请取出，检查方向后重新放入；仍不行请换一张。"


def machine(folder: Path) -> tuple[StateFolder, ReaderFolder]:
    """With one reader, and a door of its own."""
    state = enrolled(folder)
    config = state.config.read_text(encoding="utf-8")
    state.config.write_text(config.replace("door_port = 0", f"door_port = {free_port()}"), encoding="utf-8")
    readers = ReaderFolder(folder / "cards")
    readers.plug("R1")
    return state, readers


@asynccontextmanager
async def working(state: StateFolder) -> AsyncIterator[None]:
    ready = asyncio.Event()
    async with asyncio.timeout(CEILING_S):
        agent = asyncio.create_task(run_edge(state, SystemClock(), ready.set))
        await asyncio.wait([agent, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        assert ready.is_set(), agent
        yield
        agent.cancel()
        await asyncio.wait([agent])


async def until(state: StateFolder, part: str, well: bool, text: str) -> dict[str, tuple[bool, str]]:
    """What is said of all parts once that is said of one."""
    while True:
        said = {one.part: (one.well, one.text) for one in await examine(state, SystemClock())}
        if said.get(part) == (well, text):
            return said
        await asyncio.sleep(0.05)


def test_the_morning_canary_goes_from_the_door_to_each_device(tmp_path: Path) -> None:
    state, readers = machine(tmp_path / "edge")

    async def scenario() -> None:
        async with working(state):
            said = await until(state, "R1", well=True, text="正常")
            assert said["事件通道"] == (True, "正常")
            assert said["设备事件日志"][0]
            assert re.fullmatch(r"待上传 \d+ 条", said["设备事件日志"][1])
            assert said["设备页面"][0]
            assert said["线路"][0] is False  # nobody is at the hub's address
            readers.insert("R1", "mute = true")
            await until(state, "R1", well=False, text=f"社保卡读卡器{CARD}")
            readers.unplug("R1")
            await until(state, "R1", well=False, text="找不到社保卡读卡器。请检查连接线是否插好、电源是否打开。")

    asyncio.run(scenario())
    assert Pairing(state.door, SystemClock()).origins() == set()


class Udev:
    """In the place of udev, on a machine with those devices."""

    generation = 1
    plugged = (Plugged(PluggedKind.SCANNER, "/dev/bus/usb/001/008", "", "Canon CanoScan", "usb-0:4", "04a9", "1913"),
               Plugged(PluggedKind.SERIAL_PORT, "/dev/ttyUSB7", "A1", "Prolific Serial", "usb-0:1:1.0", "067b", "23a3", "00"),
               Plugged(PluggedKind.KEYBOARD, "/dev/input/event7", "", "Dell Keyboard", "usb-0:2:1.0", "413c", "2113", "00"))

    async def changed(self, after: int) -> int:
        if after >= self.generation:
            await asyncio.Event().wait()
        return self.generation

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        pass


def test_what_is_plugged_in_and_not_listed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "Discovery", Udev)
    state, _ = machine(tmp_path / "edge")

    async def scenario() -> list[Finding]:
        async with working(state):
            await until(state, "R1", well=True, text="正常")
            return await examine(state, SystemClock())

    findings = asyncio.run(scenario())
    scanner, line, keyboard = (one for one in findings if one.part == "未登记设备")
    assert str(scanner) == ("[异常] 未登记设备：已接入但未登记：扫描仪（Canon CanoScan，04a9:1913）。"
                            "请联系市信息中心登记到本机的设备列表后使用；不用的请拔下。")
    assert str(line) == ("[提示] 未登记设备：已接入但未登记：串口设备（Prolific Serial，/dev/ttyUSB7）。"
                         "是读卡器或扫码枪的，请联系市信息中心登记到本机的设备列表；是其他设备（如调制解调器、UPS）的无须处理。")
    assert line.well, "it may be a modem, which nobody will ever list"
    assert keyboard.well, "it may be the clerk's"
    assert str(keyboard).startswith("[提示] 未登记设备：已接入但未登记：键盘或键盘式扫码枪（Dell Keyboard，413c:2113）。")
    lines = told(findings).splitlines()
    assert lines.index(str(scanner)) < lines.index(str(line)) < lines.index(next(one for one in lines if "[正常]" in one))


def test_a_machine_without_its_agent_says_so_and_what_its_disk_knows(tmp_path: Path) -> None:
    state, _ = machine(tmp_path / "edge")
    write_stop(state.business.db, "FORKED")
    Alarms(state.alarms, SystemClock()).raise_alarm("rewritten", "another history", "市中心的记录与本机不符，请联系市信息中心。")
    text = told(asyncio.run(examine(state, SystemClock())))
    assert text.splitlines()[-1] == "共 3 处需要处理，请按提示逐项解决。"
    for words in ("[异常] 代理程序：本机代理程序没有运行", "[异常] 业务日志：业务日志已停止写入",
                  "[异常] 告警：市中心的记录与本机不符", "[正常] 磁盘"):
        assert words in text


def test_an_agent_that_could_start_and_write_is_not_called_damaged(tmp_path: Path) -> None:
    state, _ = machine(tmp_path / "edge")
    fill(state, 3)
    said = [(one.part, one.well) for one in asyncio.run(examine(state, SystemClock()))]
    assert said == [("磁盘", True), ("业务日志", True), ("代理程序", False)]


def _flip_head(state: StateFolder) -> None:
    damage(state.business.db, "UPDATE head SET digest = zeroblob(32)")


@pytest.mark.parametrize(("harm", "part", "words"), [
    (lambda state: state.business.db.write_bytes(b""), "业务日志", "has 0 bytes, which is no database"),
    (lambda state: state.business.db.write_bytes(bytes(40_960)), "业务日志", "业务日志已损坏"),
    (lambda state: state.business.db.unlink(), "业务日志", "the journal is gone"),
    (_flip_head, "业务日志", "the head is not the record at position 4"),
    (lambda state: state.events.db.write_bytes(b"S" * 60), "设备事件日志", "has 60 bytes, which is no database"),
    (lambda state: state.record_key.write_bytes(b""), "密钥", "record.key has 0 bytes instead of 32"),
    (lambda state: state.tls_key.unlink(), "密钥", "tls.key"),
], ids=["cut", "zeros", "gone", "head", "events", "record key", "TLS key"])
def test_what_would_keep_the_agent_from_going_on_is_told_before_it_is_started(
        tmp_path: Path, harm: Callable[[StateFolder], object], part: str, words: str) -> None:
    """Not "it can be written on", of a journal that nobody has opened."""
    state, _ = machine(tmp_path / "edge")
    fill(state, 3)
    harm(state)
    [finding] = [one for one in asyncio.run(examine(state, SystemClock())) if one.part == part]
    assert not finding.well
    assert words in finding.text
    assert "联系" in finding.text
    assert "\n" not in finding.text


@pytest.mark.parametrize(("name", "text"), [("record_key", "record.key is not the key of"),
                                            ("identity", "are those of two machines")])
def test_a_file_of_another_machine_beside_the_journals_is_told_before_the_agent_is_started(
        tmp_path: Path, name: str, text: str) -> None:
    state, _ = machine(tmp_path / "edge")
    other, _ = machine(tmp_path / "other")
    assert [one for one in asyncio.run(examine(state, SystemClock())) if one.part == "密钥"] == []
    getattr(state, name).write_bytes(getattr(other, name).read_bytes())
    said = [one for one in asyncio.run(examine(state, SystemClock())) if one.part == "密钥" and text in one.text]
    assert {one.well for one in said} == {False}
    assert all(any(one in finding.text for finding in said) for one in ("business.db", "events.db"))


def test_a_journal_that_cannot_be_read_now_is_not_called_damaged(tmp_path: Path) -> None:
    state, _ = machine(tmp_path / "edge")
    Path(f"{state.business.db}-wal").mkdir()  # as on a disk without a free byte
    [finding] = [one for one in asyncio.run(examine(state, SystemClock())) if one.part == "业务日志"]
    assert not finding.well
    assert "暂时读不了" in finding.text


def test_a_damaged_pairing_is_told_and_the_rest_of_the_machine_is_looked_at(tmp_path: Path) -> None:
    state, _ = machine(tmp_path / "edge")

    async def scenario() -> None:
        async with working(state):
            await until(state, "R1", well=True, text="正常")
            state.door.write_bytes(b"not a database" * 100)
            said = {one.part: one for one in await examine(state, SystemClock())}
            assert "配对数据已损坏" in said["配对"].text
            assert not said["配对"].well
            assert said["R1"].well
            assert "配对" not in {one.part for one in await examine(state, SystemClock())}

    asyncio.run(scenario())


def test_a_pairing_that_another_program_has_locked_is_told_and_what_needs_none_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, _ = machine(tmp_path / "edge")

    async def scenario() -> None:
        async with working(state):
            await until(state, "R1", well=True, text="正常")
            monkeypatch.setattr(durable_sqlite, "BRIEF_PRAGMAS", ("PRAGMA busy_timeout = 10",))
            with closing(sqlite3.connect(state.door, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                said = {one.part: one for one in await examine(state, SystemClock())}
            assert "database is locked" in said["配对"].text
            assert not said["配对"].well
            assert said["设备页面"].well
            assert said["磁盘"].well

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("door_port = \n", "Invalid value"), ('[[devices]]\nname = "X Y"\nkind = "fax"\n', "device 'X Y', name")],
    ids=["half-written", "device list"],
)
def test_settings_that_the_agent_would_not_start_with_are_told_and_the_rest_is_looked_at(
    tmp_path: Path, wrong: str, words: str
) -> None:
    state, _ = machine(tmp_path / "edge")
    with state.config.open("a", encoding="utf-8") as config:
        config.write(wrong)
    said = {one.part: one for one in asyncio.run(examine(state, SystemClock()))}
    assert words in said["设置"].text
    assert "edge.toml 有误" in said["设置"].text
    assert not said["设置"].well
    assert "\n" not in said["设置"].text
    assert said["磁盘"].well
    assert "代理程序" in said


@pytest.mark.parametrize(("name", "part"), [("identity.json", "身份"), ("agent.lock", "代理程序")])
@pytest.mark.parametrize("harm", [Path.mkdir, lambda path: path.symlink_to(path.name)], ids=["a folder", "a circle of links"])
def test_a_file_that_the_disk_does_not_give_is_told_in_words_for_the_counter(
        tmp_path: Path, harm: Callable[[Path], object], name: str, part: str) -> None:
    state, _ = machine(tmp_path / "edge")
    path = state.root / name
    path.unlink(missing_ok=True)
    harm(path)
    text = told(asyncio.run(examine(state, SystemClock())))
    assert f"[异常] {part}：" in text
    assert f"无法读取（{path}: " in text
    assert "磁盘：" in text


def test_a_disk_that_takes_nothing_is_told_and_an_agent_that_works_on_it_still_counts(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = machine(tmp_path / "edge")
    with agent_lock(state.lock):
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
        monkeypatch.setattr("edge.doctor.through_the_door", _nobody)
        said = {one.part: one for one in asyncio.run(examine(state, SystemClock()))}
    assert not said["磁盘"].well
    assert "只读" in said["磁盘"].text
    assert "代理程序" not in said
    state.lock.unlink()
    said = {one.part: one for one in asyncio.run(examine(state, SystemClock()))}
    assert "没有运行" in said["代理程序"].text
    assert not state.lock.exists()


async def _nobody(*_: object) -> list[Finding]:
    return []
