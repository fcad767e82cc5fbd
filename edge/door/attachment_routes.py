"""Scans and documents that a counter program hands over: sealed as they come in, never plain on disk."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request

from edge.attachments.attached import Attached
from edge.attachments.attachments import Attachments, UnknownAttachment
from edge.attachments.media_types import MEDIA_TYPES, UnknownMediaType
from edge.attachments.room import AttachmentsFull
from edge.door.errors import DoorError, responses
from edge.door.messages import AttachmentAnswer
from security.attachment import ATTACHMENT_MAX_BYTES, TooLarge

PATH = "/v1/attachments"
_ANY = "application/octet-stream"  # the content says what it is

GONE = "附件不存在或已超过 10 分钟，请重新扫描或上传。"
_BODY = {"requestBody": {"required": True, "content": {
    one: {"schema": {"type": "string", "format": "binary"}} for one in (*MEDIA_TYPES, _ANY)}}}


class AttachmentRoutes:
    """Handlers over the machine's attachments."""

    def __init__(self, attachments: Attachments) -> None:
        self._attachments = attachments

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(PATH, self.take, methods=["POST"], status_code=201, responses=responses(413, 415, 503),
                             openapi_extra=_BODY, summary="Hand over a scan; a transaction may name it for ten minutes")
        return router

    async def take(self, request: Request) -> AttachmentAnswer:
        said = request.headers.get("content-type", _ANY).partition(";")[0].strip().lower()
        if said not in (*MEDIA_TYPES, _ANY):
            raise _unknown_type()
        try:
            attached = await self._attachments.take(request.stream(), media_type=said if said != _ANY else None)
        except UnknownMediaType as error:
            raise _unknown_type() from error
        except TooLarge as error:
            raise DoorError(413, "too-large", f"附件超过 {ATTACHMENT_MAX_BYTES // 1024 ** 2} MiB，未保存。"
                                              "请降低分辨率或分页后重新扫描。") from error
        except AttachmentsFull as error:
            raise DoorError(503, "attachments-full", error.hint) from error
        return AttachmentAnswer(id=attached.id, sha256=attached.seal.sha256.hex(), size=attached.seal.size,
                                media_type=attached.media_type)


async def name(attachments: Attachments, attached: Sequence[Attached | None], caller_id: str) -> None:
    """Before the record is stored. Raises DoorError: then it was not."""
    try:
        await attachments.name([one for one in attached if one is not None], caller_id)
    except UnknownAttachment as error:
        raise DoorError(422, "not-acceptable", "本笔未受理，请按 details 更正后重新提交。", [GONE]) from error
    except AttachmentsFull as error:
        raise DoorError(503, "attachments-full", "本机磁盘暂时无法登记附件，本笔未受理。请稍后用同一流水号重新提交，"
                                                 "或不带附件提交。") from error


def _unknown_type() -> DoorError:
    return DoorError(415, "no-media-type", "附件只接受 JPEG、PNG 图片或 PDF 文件，且内容须与所称类型一致。请重新扫描或转换格式。")
