"""How much of its disk a machine gives to attachments."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

UNNAMED_MAX_BYTES = 256 * 1024 * 1024  # that no record names yet
UNNAMED_MAX = 512
RESERVES = 2  # of the disk: the last one is for records


class AttachmentsFull(Exception):
    """The attachment was not kept. Records are taken as before."""

    hint = ("本机待上传的附件已存满（或磁盘空间不足），附件未保存。业务可不带附件照常提交；"
            "请检查网络线路，待附件自动上传后再扫描。")


@dataclass(frozen=True, slots=True)
class AttachmentLimits:
    """Bytes of sealed attachments on this disk, and bytes of disk that are left to records, twice."""

    quota_bytes: int = 2 * 1024**3
    reserve_bytes: int = 256 * 1024**2


def require_room(folder: Path, limits: AttachmentLimits, *, named_bytes: int, unnamed_bytes: int, unnamed: int) -> None:
    """Raises AttachmentsFull."""
    if unnamed_bytes > UNNAMED_MAX_BYTES or unnamed >= UNNAMED_MAX:
        raise AttachmentsFull("too much that no record names yet")
    if named_bytes + unnamed_bytes > limits.quota_bytes:
        raise AttachmentsFull("quota of attachments reached")
    if _free(folder) < RESERVES * limits.reserve_bytes:
        raise AttachmentsFull("disk reserve reached")


def _free(folder: Path) -> int:
    """Bytes of its disk. Raises AttachmentsFull."""
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise AttachmentsFull(str(error)) from error
