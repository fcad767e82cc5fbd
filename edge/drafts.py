"""What a caller hands to the journal, what it gets back, and how it can be refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from security.record import CarriedRecord
from security.sealing import BODY_MAX_BYTES
from security.suites import sha256

CALLER_ID_CONTEXT = b"suozhan/caller/v1\0"
_CALLER_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
OWN_IDS = ("alarm:", "carried:", "event:", "journal.")  # begin those of the agent's own records: nobody else's take their places
HOLDS_ID_NUMBER = "业务流水号不得包含身份证号码，请由柜面程序重新生成后提交。"
ID_NUMBER = re.compile(r"\d{17}[\dXx]")


class JournalRefused(Exception):
    """This submission was not taken, and nothing of it is kept. `hint` is for the counter, in Chinese."""

    hint: str


class BadDraft(JournalRefused):
    """Not a submission that any journal takes."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class CallerIdConflict(JournalRefused):
    """The caller's id was used before, for other content."""

    hint = "该业务流水号已用于另一笔内容不同的业务，本笔未受理。请核对后由柜面程序换用新的流水号提交。"


class JournalFull(JournalRefused):
    """Quota or disk is full. What is queued is safe; new work waits until the line is back or space is made."""

    hint = "本机待上传业务已存满，本笔未受理，已受理的业务均已安全保存。请检查网络线路，待自动上传后再试，或联系市信息中心。"


class JournalBusy(JournalRefused):
    """The disk did not take it at this moment: another program holds the journal, or a write failed. Say it again."""

    hint = "本机磁盘暂时无法写入，本笔未受理，已受理的业务均已安全保存。请稍后用同一流水号重新提交；多次失败请联系市信息中心。"


class JournalUnopened(JournalBusy):
    """It is whole, as far as is known, and cannot be opened at this moment: mostly the disk is full. It is tried again."""

    hint = ("本机磁盘已满或暂时无法读写，业务日志未能打开，本笔未受理，已受理的业务均已安全保存。"
            "请技术人员腾出磁盘空间（不要删除本程序的文件夹），半分钟内自动恢复，再用同一流水号重新提交。")


class IdsUnclear(JournalBusy):
    """Whether this was said before, in an earlier journal of the machine, is being found out. Say it again."""

    hint = "本机正在核对旧业务日志中的流水号，本笔暂未受理，已受理的业务均已安全保存。请几分钟后用同一流水号重新提交。"


class JournalStopped(JournalRefused):
    """The journal takes no more records: it is closed, damaged, or the hub has refused its history."""

    hint = "本机业务日志已停止写入，本笔未受理。请不要重装系统，保留现场并联系市信息中心。"


class CorruptJournal(Exception):
    """Stored bytes that are not what was signed; names the position. The journal must not be written on."""


class JournalLogLost(CorruptJournal):
    """The file is whole, and the log of it was taken away or cut: what was acknowledged last may be lost."""


class JournalUnreadable(Exception):
    """Not now, by this command: the disk is full, or somebody holds the file. Nothing is said against what stands in it."""


class ForeignJournal(Exception):
    """A journal that is none for this program or these keys, and not damaged: a technician puts the right ones together."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A record to be: the caller's id makes it safe to say it twice; the body is sealed before it is written.

    `said` is what the caller said; it decides whether a repeat is one. The body itself, when it is None. `carried` goes
    verbatim instead of a body.
    """

    caller_id: str
    kind: str
    body: bytes
    simulated: bool = False
    said: bytes | None = None
    carried: CarriedRecord | None = None

    def __post_init__(self) -> None:
        if not _CALLER_ID.fullmatch(self.caller_id):
            raise BadDraft("bad caller id", "业务流水号应为 1 至 64 位字母、数字或 . _ : -，请由柜面程序重新生成后提交。")
        if len(self.body) > BODY_MAX_BYTES:
            raise BadDraft("body too long", f"业务内容超过 {BODY_MAX_BYTES // 1024} KiB，本笔未受理。请减少内容后重新提交。")
        if ID_NUMBER.search(self.caller_id):
            raise BadDraft("caller id holds an ID number", HOLDS_ID_NUMBER)


@dataclass(frozen=True, slots=True)
class Stored:
    """A durable record: its id and position; `repeat` when the same was said before. `earlier`: this machine's id then, when an
    earlier journal holds it, and the position is one of that.
    """

    id: UUID
    position: int
    repeat: bool
    earlier: UUID | None = None


def record_id(edge: UUID, caller_id: str) -> UUID:
    """UUIDv8 (RFC 9562) of a caller's id on this machine: the same id names the same record in every journal of it."""
    digest = bytearray(sha256(CALLER_ID_CONTEXT + edge.bytes + caller_id.encode())[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(digest))


def no_id_number(text: str) -> str:
    """Raises ValueError for what holds an ID number."""
    if ID_NUMBER.search(text):
        raise ValueError("holds an ID number")
    return text
