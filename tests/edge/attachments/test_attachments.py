"""Attachments on the machine: sealed as they come in, bounded, and nothing is kept that nobody can read any more."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from edge.attachments import room
from edge.attachments.attachments import KEPT_MS, Attachments, UnknownAttachment
from edge.attachments.blob_folder import BlobFile, BlobFolder
from edge.attachments.media_types import UnknownMediaType
from edge.attachments.room import AttachmentLimits, AttachmentsFull
from security.attachment import ATTACHMENT_MAX_BYTES, TooLarge, open_attachment
from tests.attaching import MARK, scan
from tests.spine import CEILING_S, HandClock

Visit = Callable[[Attachments], Awaitable[None]]
PDF = "application/pdf"


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "attachments"
        self.clock = HandClock()

    def start(self, visit: Visit, quota_bytes: int = 10**9, reserve_bytes: int = 0) -> None:
        async def come() -> None:
            limits = AttachmentLimits(quota_bytes, reserve_bytes)
            async with asyncio.timeout(CEILING_S), Attachments(BlobFolder(self.folder), self.clock, limits) as attachments:
                await visit(attachments)

        asyncio.run(come())

    def files(self) -> list[str]:
        return sorted(path.suffix for path in self.folder.iterdir())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_only_sealed_bytes_reach_the_disk_also_while_they_come_in(machine: Machine) -> None:
    content = scan(300_000)

    async def visit(attachments: Attachments) -> None:
        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, len(content), 100_000):
                yield content[start:start + 100_000]
                assert all(MARK not in path.read_bytes() for path in machine.folder.iterdir())

        attached = await attachments.take(parts())
        [path] = machine.folder.iterdir()
        assert (path.name, path.stat().st_mode & 0o777) == (f"{attached.seal.address.hex()}.blob", 0o600)
        assert open_attachment(attached.seal, path.read_bytes()) == content
        assert (attached.media_type, attachments.find(attached.id)) == (PDF, attached)
        assert attached.seal.key.hex() not in repr(attached)
        assert attachments.find(uuid4()) is None

    machine.start(visit)


@pytest.mark.parametrize(("content", "said"), [
    (b"", None), (b"GIF89a..", None), (b"%PD", None), (MARK, "image/png"), (b"plain text", PDF)],
    ids=["empty", "gif", "short", "another", "text"])
def test_what_is_no_document_is_refused_and_leaves_nothing(machine: Machine, content: bytes, said: str | None) -> None:
    async def visit(attachments: Attachments) -> None:
        async def parts() -> AsyncIterator[bytes]:
            for byte in content:
                yield bytes([byte])

        with pytest.raises(UnknownMediaType):
            await attachments.take(parts(), media_type=said)
        assert machine.files() == []

    machine.start(visit)


def test_a_sender_that_hangs_up_or_sends_too_much_leaves_nothing(machine: Machine) -> None:
    async def visit(attachments: Attachments) -> None:
        async def hangs_up() -> AsyncIterator[bytes]:
            yield scan(100_000)
            raise ConnectionResetError

        async def endless() -> AsyncIterator[bytes]:
            yield MARK
            while True:
                yield bytes(1024 * 1024)

        async def waits() -> AsyncIterator[bytes]:
            yield scan(100_000)
            await asyncio.Event().wait()

        with pytest.raises(ConnectionResetError):
            await attachments.take(hangs_up())
        with pytest.raises(TooLarge):
            await attachments.take(endless())
        waiting = asyncio.create_task(attachments.take(waits()))
        while not machine.files():
            await asyncio.sleep(0.001)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert machine.files() == []
        assert len((await attachments.put(scan(ATTACHMENT_MAX_BYTES), PDF)).seal.address) == 32

    machine.start(visit)


@pytest.mark.parametrize("step", ["write", "finish"])
def test_who_is_cancelled_in_a_write_leaves_nothing(machine: Machine, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, began, cancelled = getattr(BlobFile, step), asyncio.Event(), threading.Event()

    def slow(self: BlobFile, *args: bytes) -> None:
        loop.call_soon_threadsafe(began.set)
        cancelled.wait(CEILING_S)
        time.sleep(0.1)
        real(self, *args)

    async def visit(attachments: Attachments) -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        putting = asyncio.create_task(attachments.put(scan(100_000), PDF))
        await began.wait()
        putting.cancel()
        cancelled.set()
        await asyncio.wait([putting])
        assert putting.cancelled()
        assert machine.files() == []

    loop: asyncio.AbstractEventLoop
    monkeypatch.setattr(BlobFile, step, slow)
    machine.start(visit)


def test_what_nobody_names_in_ten_minutes_is_gone_with_its_key(machine: Machine) -> None:
    async def visit(attachments: Attachments) -> None:
        named, unnamed = [await attachments.put(scan(1_000), PDF) for _ in range(2)]
        await attachments.name([named], "t1")
        machine.clock.up_ms += KEPT_MS
        await attachments.sweep()
        assert attachments.find(unnamed.id) == unnamed
        machine.clock.up_ms += 1
        assert attachments.find(unnamed.id) is None
        assert attachments.find(named.id) is None
        await attachments.sweep()
        assert machine.files() == [".blob", ".names"]
        assert attachments.waiting() == [named.seal.address]
        with pytest.raises(UnknownAttachment):
            await attachments.name([unnamed], "t2")
        await attachments.name([named], "t2")

    machine.start(visit)


def test_a_start_keeps_what_records_name_and_nothing_else(machine: Machine) -> None:
    async def first(attachments: Attachments) -> None:
        for number in range(3):
            attached = await attachments.put(scan(1_000 + number), PDF)
            await attachments.name([attached], f"t{number}")
            os.utime(machine.folder / f"{attached.seal.address.hex()}.blob", ns=(number, number))
            addresses.append(attached.seal.address)
        await attachments.name([attached], "again")
        kept.append((await attachments.put(scan(1_000), PDF)).id)

    async def second(attachments: Attachments) -> None:
        assert attachments.waiting() == addresses
        assert attachments.callers(addresses[2]) == ["t2", "again"]
        assert attachments.size(addresses[1]) == 1_001 + 16
        assert attachments.find(kept[0]) is None
        assert machine.files() == [".blob"] * 3 + [".names"] * 3
        with pytest.raises(AttachmentsFull):
            await attachments.put(scan(5_000), PDF)
        await attachments.forget(addresses[0])
        await attachments.put(scan(1_000), PDF)

    addresses: list[bytes] = []
    kept: list[Any] = []
    machine.start(first)
    (machine.folder / ".0123.new").write_bytes(b"half")
    machine.start(second, quota_bytes=5_000)


def test_a_damaged_list_of_names_still_says_that_a_record_may_name_it(machine: Machine) -> None:
    async def first(attachments: Attachments) -> None:
        await attachments.name([await attachments.put(scan(1_000), PDF)], "t1")

    async def second(attachments: Attachments) -> None:
        assert len(attachments.waiting()) == 1

    machine.start(first)
    [names] = machine.folder.glob("*.names")
    names.write_bytes(b"\xff\xfe")
    machine.start(second)


def test_quota_reserve_and_what_nobody_has_named_are_limits(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def visit(attachments: Attachments) -> None:
        attached = await attachments.put(scan(90_000), PDF)
        for _ in range(2):  # named or not, it counts
            with pytest.raises(AttachmentsFull) as refused:
                await attachments.put(scan(20_000), PDF)
            await attachments.name([attached], "t1")
        assert "业务可不带附件" in refused.value.hint
        both = await asyncio.gather(*[attachments.put(scan(7_000), PDF) for _ in range(2)], return_exceptions=True)
        assert [type(one) for one in both].count(AttachmentsFull) >= 1
        monkeypatch.setattr(room, "UNNAMED_MAX_BYTES", 8_000)
        with pytest.raises(AttachmentsFull):
            await attachments.put(scan(8_001), PDF)
        assert ".new" not in machine.files()

    async def no_room(attachments: Attachments) -> None:
        with pytest.raises(AttachmentsFull):
            await attachments.put(scan(1_000), PDF)

    machine.start(visit, quota_bytes=100_000)
    machine.start(no_room, reserve_bytes=10**18)


@pytest.mark.parametrize("step", ["write", "finish"])
def test_a_full_disk_keeps_no_half_of_a_scan(machine: Machine, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def visit(attachments: Attachments) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(BlobFile, step, full)
            with pytest.raises(AttachmentsFull, match="No space"):
                await attachments.put(scan(100_000), PDF)
        assert machine.files() == []
        attached = await attachments.put(scan(100_000), PDF)
        with monkeypatch.context() as patch:
            patch.setattr(BlobFolder, "name", full)
            with pytest.raises(AttachmentsFull):
                await attachments.name([attached], "t1")
        assert attachments.waiting() == []
        await attachments.name([attached], "t1")
        assert attachments.waiting() == [attached.seal.address]

    machine.start(visit)


def test_a_folder_that_cannot_be_opened_keeps_no_agent_from_its_start(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def first(attachments: Attachments) -> None:
        await attachments.name([await attachments.put(scan(1_000), PDF)], "t1")

    async def second(attachments: Attachments) -> None:
        monkeypatch.setattr(BlobFolder, "open", opened)
        with pytest.raises(AttachmentsFull):
            await attachments.put(scan(1_000), PDF)
        running = asyncio.create_task(attachments.run())
        while not attachments.waiting():
            await asyncio.sleep(0.005)
        running.cancel()
        await attachments.put(scan(1_000), PDF)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    machine.start(first)
    (machine.folder / "notes.blob").write_bytes(b"somebody's own")
    opened = BlobFolder.open
    monkeypatch.setattr(BlobFolder, "open", full)
    machine.start(second)
