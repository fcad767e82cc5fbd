"""What a command gave: a reading that a transaction may name; a page that was scanned is sealed at once, as an attachment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from devices.contract import Reading
from devices.scanners import Page
from edge.attachments.attachments import Attachments
from edge.attachments.media_types import UnknownMediaType
from edge.attachments.room import AttachmentsFull
from edge.door.bindings import bound
from edge.door.device_answers import reading_answer
from edge.door.device_messages import ReadingAnswer
from edge.door.errors import DoorError
from edge.door.readings import RecentReadings
from security.attachment import ATTACHMENT_MAX_BYTES, TooLarge

TOO_LARGE = f"这一页超过 {ATTACHMENT_MAX_BYTES // 1024 ** 2} MiB，未保存。请降低分辨率后重新扫描。"
DAMAGED = "扫描的图像不是 JPEG 或 PNG，未保存。请再扫一次；仍不行请联系市信息中心。"


class GivenReadings:
    """Readings on their way from devices to counter programs."""

    def __init__(self, readings: RecentReadings, attachments: Attachments) -> None:
        self._readings = readings
        self._attachments = attachments

    async def give(self, reading: Reading[Any]) -> ReadingAnswer:
        """Kept for ten minutes, so that a transaction can name it. Raises DoorError."""
        if not isinstance(reading.data, Page):
            self._readings.keep(reading)
            return reading_answer(reading)
        # Its picture is not kept in memory: pages are large, and what is sealed need not lie about unsealed.
        self._readings.keep(replace(reading, data=replace(reading.data, content=b"")))
        if reading.data.preview:
            return reading_answer(reading)
        return reading_answer(reading, await self._attach(reading, reading.data))

    async def _attach(self, reading: Reading[Page], page: Page) -> str:
        """The attachment's id."""
        try:
            attached = await self._attachments.put(page.content, f"image/{page.picture}", simulated=reading.simulated,
                                                   source=bound(reading))
        except TooLarge as error:
            raise DoorError(413, "too-large", TOO_LARGE) from error
        except UnknownMediaType as error:
            raise DoorError(415, "no-media-type", DAMAGED) from error
        except AttachmentsFull as error:
            raise DoorError(503, "attachments-full", error.hint) from error
        return str(attached.id)
