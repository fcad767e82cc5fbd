"""What the hub takes from a machine, whatever it sends; and what it says of what it has."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest

from hub.attachments import files, inbox
from hub.attachments.inbox import Fate, NoRoom, Part, PartMalformed, TooMuch
from hub.attachments.tables import attachments
from hub.attachments.wire import QUESTION_MAX, AttachDesk, Down, Up
from proto import sync_pb2
from security.attachment import SEALED_MAX_BYTES, seal_attachment
from tests.attaching import ScanningSpine, scan
from tests.spine import CEILING_S

STEP = 64 * 1024


@pytest.fixture
def spine(tmp_path: Path) -> ScanningSpine:
    return ScanningSpine(tmp_path)


def _sealed(size: int = 100_000) -> tuple[bytes, bytes]:
    sealed, seal = seal_attachment(scan(size))
    return sealed, seal.address


def _send(spine: ScanningSpine, sealed: bytes, address: bytes) -> int:
    held = spine.inbox().take(spine.edge_id, Part(address, len(sealed), 0, b""))
    while held < len(sealed):
        held = spine.inbox().take(spine.edge_id, Part(address, len(sealed), held, sealed[held:held + STEP]))
    return held


def test_it_is_held_once_it_is_whole_and_for_every_machine(spine: ScanningSpine) -> None:
    sealed, address = _sealed()
    assert spine.inbox().fates(spine.edge_id, [address]) == [Fate.WANTED]
    assert spine.inbox().take(spine.edge_id, Part(address, len(sealed), 0, sealed[:STEP])) == STEP
    assert spine.inbox().take(uuid4(), Part(address, len(sealed), 0, b"")) == 0, "what another machine began is its own"
    assert _send(spine, sealed, address) == len(sealed)
    assert spine.files.path(address).read_bytes() == sealed
    assert spine.inbox().take(uuid4(), Part(address, len(sealed), 0, sealed[:STEP])) == len(sealed)
    assert spine.inbox().fates(uuid4(), [bytes(32), address]) == [Fate.WANTED, Fate.UNNAMED]
    [row] = spine.rows(attachments)
    assert row[:3] == (address.hex(), len(sealed), str(spine.edge_id))


def test_a_part_from_elsewhere_is_not_kept_and_the_hubs_word_is_said_again(spine: ScanningSpine) -> None:
    sealed, address = _sealed()
    take = spine.inbox().take
    assert take(spine.edge_id, Part(address, len(sealed), 5, sealed[5:100])) == 0
    assert take(spine.edge_id, Part(address, len(sealed), 0, sealed[:100])) == 100
    assert take(spine.edge_id, Part(address, len(sealed), 0, sealed[:100])) == 100
    assert take(spine.edge_id, Part(address, len(sealed), 50, sealed[50:200])) == 100
    assert _send(spine, sealed, address) == len(sealed)


def test_bytes_that_are_not_what_their_address_says_are_thrown_away(spine: ScanningSpine) -> None:
    sealed, address = _sealed(1_000)
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    assert spine.inbox().take(spine.edge_id, Part(address, len(sealed), 0, changed)) == 0
    assert not spine.files.holds(address)
    assert _send(spine, sealed, address) == len(sealed)


@pytest.mark.parametrize("claimed", [400, 900, 2_000])
def test_another_size_than_before_costs_a_new_beginning_and_no_wrong_file(spine: ScanningSpine, claimed: int) -> None:
    sealed, address = _sealed(1_000)
    spine.inbox().take(spine.edge_id, Part(address, claimed, 0, sealed[:300]))
    spine.inbox().take(spine.edge_id, Part(address, 200, 300, b""))
    assert _send(spine, sealed, address) == len(sealed)
    assert spine.files.intact(address)


def test_a_crash_behind_any_step_is_mended_by_the_next_word(spine: ScanningSpine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole and not looked at; looked at and not noted."""
    sealed, address = _sealed(1_000)
    spine.files.write_part(spine.edge_id, address, 0, sealed)
    assert spine.inbox().take(spine.edge_id, Part(address, len(sealed), 0, b"")) == len(sealed)
    other, second = _sealed(1_000)
    spine.files.write_part(spine.edge_id, second, 0, other)
    spine.files.finish(spine.edge_id, second)
    assert len(spine.rows(attachments)) == 1
    assert spine.inbox().fates(spine.edge_id, [second]) == [Fate.UNNAMED]
    assert len(spine.rows(attachments)) == 2


@pytest.mark.parametrize("part", [
    Part(bytes(32), 0, 0, b""), Part(bytes(32), SEALED_MAX_BYTES + 1, 0, b""), Part(bytes(32), 15, 0, b""),
    Part(bytes(32), 10**6, 0, bytes(STEP + 1)), Part(bytes(32), 100, 0, bytes(101)), Part(bytes(32), 2**63, 0, b"x")])
def test_what_no_machine_of_ours_sends_is_refused_and_nothing_is_written(spine: ScanningSpine, part: Part) -> None:
    with pytest.raises(PartMalformed):
        spine.inbox().take(spine.edge_id, part)
    assert not (spine.folder / "attachments").exists()


def test_a_machine_has_few_begun_ones_and_few_that_nobody_names(spine: ScanningSpine, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        spine.inbox().take(spine.edge_id, Part(number.to_bytes(32, "big"), 1_000, 0, b"x"))
    begun = list((spine.folder / "attachments" / "partial" / str(spine.edge_id)).iterdir())
    assert len(begun) == files.PARTIALS_MAX
    sealed, address = _sealed(1_000)
    _send(spine, sealed, address)
    monkeypatch.setattr(inbox, "UNNAMED_MAX_BYTES", 1_500)
    with pytest.raises(TooMuch):
        spine.inbox().take(spine.edge_id, Part(bytes(32), 1_000, 0, b"x"))
    assert spine.inbox().take(uuid4(), Part(bytes(32), 1_000, 0, b"x")) == 1, "other machines have bounds of their own"
    monkeypatch.setattr(inbox, "UNNAMED_MAX_BYTES", 10**6)
    monkeypatch.setattr(inbox, "UNNAMED_MAX", 1)
    with pytest.raises(TooMuch):
        spine.inbox().take(spine.edge_id, Part(bytes([1] * 32), 20, 0, b"x"))


def test_the_disk_is_left_to_records(spine: ScanningSpine) -> None:
    sealed, address = _sealed()
    spine.inbox().take(spine.edge_id, Part(address, len(sealed), 0, sealed[:STEP]))
    spine.reserve_bytes = 10**18
    with pytest.raises(NoRoom):
        spine.inbox().take(spine.edge_id, Part(address, len(sealed), STEP, sealed[STEP:]))
    spine.reserve_bytes = 0
    assert spine.inbox().take(spine.edge_id, Part(address, len(sealed), 0, b"")) == STEP


# ---- on the wire ----

def _say(spine: ScanningSpine, *messages: Up) -> list[Down]:
    said: list[Down] = []

    async def incoming() -> AsyncIterator[Up]:
        for message in messages:
            yield message

    async def hear(message: Down) -> None:
        said.append(message)

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            await AttachDesk(spine.inbox()).serve(spine.edge_id, incoming(), hear)

    asyncio.run(scenario())
    return said


@pytest.mark.parametrize("message", [
    Up(), Up(question=sync_pb2.AttachQuestion(addresses=bytes(31))),
    Up(question=sync_pb2.AttachQuestion(addresses=bytes(32 * (QUESTION_MAX + 1)))),
    Up(part=sync_pb2.AttachPart(address=b"../../etc/passwd", size=100, data=b"x")),
    Up(part=sync_pb2.AttachPart(address=bytes(32), size=2**64 - 1, offset=2**64 - 1, data=b"x"))])
def test_a_message_that_is_none_ends_the_stream_with_a_word(spine: ScanningSpine, message: Up) -> None:
    [refusal] = _say(spine, message, message)
    assert refusal.refusal.reason == sync_pb2.AttachRefusal.MALFORMED


def test_trouble_with_the_database_is_a_word_too(spine: ScanningSpine) -> None:
    sealed, address = _sealed(1_000)
    lock = sqlite3.connect(spine.hub_db, isolation_level=None)
    with spine.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    lock.execute("BEGIN IMMEDIATE")
    try:
        [refusal] = _say(spine, Up(part=sync_pb2.AttachPart(address=address, size=len(sealed), data=sealed)))
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    assert refusal.refusal.reason == sync_pb2.AttachRefusal.UNAVAILABLE
    assert _say(spine, Up(part=sync_pb2.AttachPart(address=address, size=len(sealed))))[0].standing.held == len(sealed)


def test_a_disk_that_takes_nothing_is_a_word_too(spine: ScanningSpine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(files.BlobFiles, "write_part", full)
    [refusal] = _say(spine, Up(part=sync_pb2.AttachPart(address=bytes(32), size=100, data=b"x")))
    assert (refusal.refusal.reason, "No space" in refusal.refusal.hint) == (sync_pb2.AttachRefusal.UNAVAILABLE, True)


def test_what_an_old_stream_left_in_its_thread_disturbs_no_new_one(spine: ScanningSpine, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed, address = _sealed(1_000)
    part = Up(part=sync_pb2.AttachPart(address=address, size=len(sealed), data=sealed))
    real, said = files.BlobFiles.finish, list[Down]()
    begun, may_end, ended = Event(), Event(), Event()

    def slow(self: files.BlobFiles, *args: object) -> bool:
        old = not begun.is_set()
        begun.set()
        assert (may_end if old else ended).wait(CEILING_S)
        try:
            return real(self, *args)  # type: ignore[arg-type]
        finally:
            ended.set()

    async def incoming() -> AsyncIterator[Up]:
        yield part

    async def hear(message: Down) -> None:
        said.append(message)

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            old = asyncio.create_task(spine.desk.serve(spine.edge_id, incoming(), hear))
            assert await asyncio.to_thread(begun.wait, CEILING_S)
            old.cancel()
            new = asyncio.create_task(spine.desk.serve(spine.edge_id, incoming(), hear))
            await asyncio.sleep(0.2)  # it comes to where the old one is, if nobody keeps it away
            may_end.set()
            await new

    monkeypatch.setattr(files.BlobFiles, "finish", slow)
    asyncio.run(scenario())
    assert [one.standing.held for one in said] == [len(sealed)]
