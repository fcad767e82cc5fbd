"""A page that a scanner gave is an attachment by the time a counter program hears of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import types
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from devices.contract import Reading
from devices.scanners import Page
from edge.attachments.attached import Attached
from edge.attachments.attachments import Attachments
from edge.attachments.blob_folder import BlobFolder
from edge.attachments.room import AttachmentLimits
from edge.door.device_messages import ReadingAnswer
from edge.door.errors import DoorError
from edge.door.given_readings import GivenReadings
from edge.door.readings import RecentReadings
from edge.door.stacks import Stack
from edge.drafts import Draft
from security.attachment import ATTACHMENT_MAX_BYTES
from tests.edge.door.test_attachments import _bodies
from tests.edge.door.test_door import Counter, at_the_door, transaction
from tests.spine import CEILING_S, HandClock

PNG = b"\x89PNG\r\n\x1a\n the page of a resident"


def _page(content: bytes = PNG, *, preview: bool = False) -> Reading[Page]:
    return Reading("doc-1", "document", Page(content, "png", 10, 20, "ab" * 32, preview), simulated=True, serial="KD2P0012")


def _give(folder: Path, reading: Reading[Page], quota_bytes: int = 10**9) -> tuple[dict[str, object], RecentReadings]:
    clock = HandClock()
    readings = RecentReadings(clock)
    attachments = Attachments(BlobFolder(folder / "attachments"), clock, AttachmentLimits(quota_bytes, 0))

    async def give() -> dict[str, object]:
        async with asyncio.timeout(CEILING_S):
            await attachments.__aenter__()
            return (await GivenReadings(readings, attachments).give(reading)).data

    return asyncio.run(give()), readings


def test_a_page_is_sealed_and_not_kept_in_memory(tmp_path: Path) -> None:
    reading = _page()
    said, readings = _give(tmp_path, reading)
    assert said["size"] == len(PNG)
    kept = readings.find(reading.id)
    assert kept is not None
    assert kept.data.content == b""
    [blob] = (tmp_path / "attachments").iterdir()
    assert PNG not in blob.read_bytes()


def test_a_preview_is_shown_and_no_attachment(tmp_path: Path) -> None:
    said, _ = _give(tmp_path, _page(preview=True))
    assert said["preview"]
    assert said["attachment"] is None
    assert list((tmp_path / "attachments").iterdir()) == []


@pytest.mark.parametrize(("content", "quota_bytes", "refused"), [
    (PNG, 10, (503, "attachments-full")), (PNG + bytes(ATTACHMENT_MAX_BYTES), 10**9, (413, "too-large")),
    (b"no picture", 10**9, (415, "no-media-type"))], ids=["full", "large", "other"])
def test_a_page_that_cannot_be_kept_is_told(tmp_path: Path, content: bytes, quota_bytes: int, refused: tuple[int, str]) -> None:
    with pytest.raises(DoorError) as told:
        _give(tmp_path, _page(content), quota_bytes)
    assert (told.value.status, told.value.code) == refused
    assert told.value.message.endswith("。")


@types.coroutine
def cancelled_at(step: int, work: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """`work`, cancelled where it waits for the `step`th time."""
    try:
        for number in itertools.count():
            waited = work.send(None)
            yield work.throw(asyncio.CancelledError()) if number == step else waited
    except StopIteration:
        pass


def test_a_stack_that_is_cancelled_at_any_step_names_what_is_on_the_disk_and_nothing_else(tmp_path: Path) -> None:
    async def fed(step: int, folder: Path) -> tuple[list[Attached | None], bool]:
        clock, told = HandClock(), list[ReadingAnswer]()
        async with Attachments(BlobFolder(folder), clock, AttachmentLimits(10**9, 0)) as attachments:
            stack = Stack(GivenReadings(RecentReadings(clock), attachments), lambda page, hint: told.append(page))

            async def feed() -> None:
                for _ in range(3):
                    await stack.take(_page())

            try:
                async with asyncio.timeout(CEILING_S):
                    await cancelled_at(step, feed())
                cancelled = False
            except asyncio.CancelledError:
                cancelled = True
            assert told == stack.pages
            return [attachments.find(UUID(page.data["attachment"])) for page in stack.pages], cancelled

    counts = set()
    for step in itertools.count():
        folder = tmp_path / str(step)
        kept, cancelled = asyncio.run(fed(step, folder))
        assert sorted(one.seal.address.hex() for one in kept if one) == sorted(file.stem for file in folder.iterdir())
        assert None not in kept
        counts.add(len(kept))
        if not cancelled:
            break
    assert counts == {0, 1, 2, 3}


def test_a_record_says_which_scanner_a_page_came_from(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        reading = _page()
        given = await GivenReadings(RecentReadings(counter.spine.clock), counter.attachments).give(reading)
        named = transaction(attachments=[given.data["attachment"]])
        assert (await counter.client.post("/v1/transactions", json=named)).status_code == 201
        run = await counter.journal.after(0, 10, 10**6)
        [body] = _bodies(counter.spine, list(run.payloads))
        [one] = body["attachments"]  # type: ignore[misc]
        assert (one["media_type"], one["source"]) == ("image/png", {
            "id": str(reading.id), "kind": "document", "device": "doc-1", "serial": "KD2P0012", "simulated": True,
            "observed_at": reading.observed_at.isoformat()})

    at_the_door(tmp_path, visit)


def test_the_largest_transaction_fits_a_record() -> None:
    """32 pages, each with its source, and all of the details."""
    source = {"id": "0" * 36, "kind": "document", "device": "d" * 64, "serial": "s" * 64, "simulated": True,
              "observed_at": "2026-11-21T19:00:00.000000+08:00"}
    one = {"id": "0" * 36, "blob": "0" * 64, "key": "0" * 64, "sha256": "0" * 64, "size": ATTACHMENT_MAX_BYTES,
           "media_type": "application/pdf", "source": source}
    body = json.dumps({"attachments": [one] * 32, "details": "x" * 8192, "rest": "x" * 4096}).encode()
    assert Draft("t1", "transaction", body).body == body
