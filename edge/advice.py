"""What people are told about the line to the hub: for each kind of trouble what is wrong, and what to do."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    SILENT = "silent"
    WRONG_CLOCK = "wrong-clock"
    CLOCKS_DIFFER = "clocks-differ"
    CERTIFICATE_EXPIRED = "certificate-expired"
    WAITING_FOR_APPROVAL = "waiting-for-approval"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    CLONED = "cloned"
    UNTRUSTED_HUB = "untrusted-hub"
    HUB_CERTIFICATE = "hub-certificate"
    REFUSED = "refused"
    REJOINING = "rejoining"
    KEY_DAMAGED = "key-damaged"
    JOURNAL_UNOPENED = "journal-unopened"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`english` is for a technician, `chinese` for the counter."""

    kind: Kind
    english: str
    chinese: str


class LineHealth(Protocol):
    """What the door tells of the line beside its state."""

    @property
    def diagnosis(self) -> Diagnosis: ...

    @property
    def certificate_ends_ms(self) -> int: ...


CONNECTING = Diagnosis(Kind.CONNECTING, "connecting to the hub", "正在连接市中心。")
CONNECTED = Diagnosis(Kind.CONNECTED, "connected to the hub", "线路正常。")

_KEPT = "业务照常办理，记录已安全保存在本机，恢复后自动上传。"
_LATER = "若长时间未恢复，请联系市信息中心。"
_DISK = "请勿清理硬盘，请联系市信息中心。"
_REJOIN = ("Keep the disk as it is and call the city's IT desk; if this machine is to go on, run: suozhan-edge rejoin --reason "
           "TEXT, and with an invitation if the hub asks for one: suozhan-edge rejoin TOKEN")

REVOKED = Diagnosis(
    Kind.REVOKED,
    f"this machine was revoked at the hub; the city's IT desk knows why. {_REJOIN}",
    f"本机已被市中心停用，原因请询问市信息中心。未上传的记录仍保存在本机，{_DISK}",
)
CLONED = Diagnosis(
    Kind.CLONED,
    "another machine has renewed its certificate with the keys of this one: a copied disk, or an old backup of this "
    f"machine. {_REJOIN}",
    f"另一台机器正在使用本机的身份（硬盘被复制，或本机由旧备份恢复）。{_DISK}",
)
SUPERSEDED = Diagnosis(
    Kind.SUPERSEDED,
    "a newer certificate of this machine is in use: this is a copy of another machine's disk, or an old backup of this "
    f"one. {_REJOIN}",
    f"本机的证书已被更新的证书取代，本机可能是硬盘复制品，或由旧备份恢复。{_DISK}",
)
UNTRUSTED_HUB = Diagnosis(
    Kind.UNTRUSTED_HUB,
    "what answers at the hub's address is not this machine's hub: its certificate or its signature is another's. No "
    "record was sent to it. Check the address, and who else is on the line; call the city's IT desk",
    f"对方不是本机登记的市中心，可能接错线路或有人冒充，未发送任何业务数据。{_KEPT}请立即联系市信息中心。",
)


def unreachable(what: str, check: str) -> Diagnosis:
    return Diagnosis(
        Kind.UNREACHABLE,
        f"{what}; {check}",
        f"无法连接市中心。{_KEPT}请检查网线、路由器和专线（或 VPN），仍不通请联系线路运营商或市信息中心。",
    )


def silent(error: str) -> Diagnosis:
    return Diagnosis(
        Kind.SILENT,
        f"the hub's port answers, but no stream comes up ({error}). It tries again by itself; if it stays like this, call "
        "the city's IT desk",
        f"市中心有应答，但暂时无法建立连接，本机会自动重试。{_KEPT}{_LATER}",
    )


def refused(error: str) -> Diagnosis:
    return Diagnosis(
        Kind.REFUSED,
        f"the hub refuses this machine: {error}; if that does not help, call the city's IT desk",
        f"市中心拒绝本机连接。{_KEPT}请联系市信息中心。",
    )


def wrong_clock(how: str, right_ms: int | None) -> Diagnosis:
    right = f"（市中心时间：{minute(right_ms)} UTC）" if right_ms is not None else ""
    return Diagnosis(
        Kind.WRONG_CLOCK,
        f"this machine's clock is wrong: {how}. Set date and time, and look after the battery of its clock; it reconnects "
        "by itself then",
        f"本机时钟不准{right}，无法与市中心建立安全连接。{_KEPT}请校正日期和时间，校正后自动恢复；若关机后又不准，请更换主板电池。",
    )


def clocks_differ(own_ms: int, hub_ms: int) -> Diagnosis:
    return Diagnosis(
        Kind.CLOCKS_DIFFER,
        f"this machine's clock says {minute(own_ms)}, the hub's signed time is {minute(hub_ms)}, and one of the two is wrong: "
        "check both against a watch. If it is this machine's, set date and time; if it is the hub's, call the city's IT desk. It "
        "reconnects by itself then",
        f"本机时间（{minute(own_ms)} UTC）与市中心时间（{minute(hub_ms)} UTC）不一致，无法建立安全连接。{_KEPT}"
        "请用手表或手机核对：本机时间不对，请校正；本机时间正确，请联系市信息中心检查市中心时钟。",
    )


def hub_certificate(first_ms: int, last_ms: int) -> Diagnosis:
    return Diagnosis(
        Kind.HUB_CERTIFICATE,
        f"the hub's own certificate holds {_span(first_ms, last_ms)} and not now. Call the city's IT desk, they run: "
        "suozhan-hub certificate renew",
        f"市中心的证书不在有效期内。{_KEPT}请联系市信息中心处理。",
    )


def waiting(first_ms: int, last_ms: int, approval: int) -> Diagnosis:
    return Diagnosis(
        Kind.WAITING_FOR_APPROVAL,
        f"this machine's certificate holds {_span(first_ms, last_ms)}; it was away for so long that a person has to approve "
        f"its renewal. Call the city's IT desk, they run: suozhan-hub approvals approve {approval} --by NAME --reason TEXT",
        f"本机停用时间过长，证书已过期，正等待市中心批准（第 {approval} 号申请）。{_KEPT}请联系市信息中心批准。",
    )


def not_renewed(first_ms: int, last_ms: int, text: str) -> Diagnosis:
    return Diagnosis(
        Kind.REFUSED,
        f"this machine's certificate holds {_span(first_ms, last_ms)}, and the hub does not renew it: {text}. "
        "Call the city's IT desk",
        f"本机证书已过期，市中心未予更新。{_KEPT}请联系市信息中心。",
    )


def renewing(first_ms: int, last_ms: int, text: str) -> Diagnosis:
    last = f" (last try: {text})" if text else ""
    return Diagnosis(
        Kind.CERTIFICATE_EXPIRED,
        f"this machine's certificate holds {_span(first_ms, last_ms)}; it is being renewed, which needs nobody. If it stays "
        f"like this{last}, call the city's IT desk",
        f"本机证书已过期，正在自动更新，请稍候。{_KEPT}{_LATER}",
    )


def key_damaged(error: str) -> Diagnosis:
    return Diagnosis(
        Kind.KEY_DAMAGED,
        f"this machine cannot prove to the hub who it is: {error}. Put the file back from a copy of this folder, and it "
        "connects by itself; without a copy stop the agent and run: suozhan-edge rejoin TOKEN --reason TEXT, with a TOKEN of "
        "suozhan-hub invite SITE --replaces and the id of this machine",
        f"本机的通信密钥或证书文件已损坏，无法连接市中心。{_KEPT}请勿重装系统，请联系市信息中心。",
    )


def no_journal(reason: str) -> Diagnosis:
    return Diagnosis(
        Kind.REJOINING,
        f"this machine's journal has ended ({reason}), and no new one can be begun: make room on its disk, and it goes on by "
        "itself",
        "本机业务日志已停止，暂时无法建立新日志（多为磁盘空间不足），新业务暂不受理，已受理的业务均保存在本机。请勿重装系统，请联系市信息中心。",
    )


def unopened(reason: str) -> Diagnosis:
    return Diagnosis(
        Kind.JOURNAL_UNOPENED,
        f"this machine's journal cannot be opened now ({reason}): make room on its disk, or end the program that holds the "
        "file; it goes on by itself within half a minute. Do not remove anything of this machine's state folder",
        "本机磁盘已满或暂时无法读写，业务日志未能打开，新业务暂不受理，已受理的业务均保存在本机。"
        "请技术人员腾出磁盘空间（不要删除本程序的文件夹），腾出后自动恢复；仍不行请联系市信息中心。",
    )


def _span(first_ms: int, last_ms: int) -> str:
    return f"from {minute(first_ms)} to {minute(last_ms)} UTC"


def minute(unix_ms: int) -> str:
    try:
        return dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return f"{unix_ms} ms"


def waiting_to_rejoin(approval: int, trouble: str) -> Diagnosis:
    """`approval` is its number at the hub (0: the hub was not asked yet, and `trouble` says why)."""
    waits = f"request {approval} waits at the hub: suozhan-hub approvals" if approval else trouble or "asking the hub"
    return Diagnosis(
        Kind.REJOINING,
        f"this machine goes on with a new identity and a new journal, which the hub has not admitted yet: {waits}",
        f"本机已启用新的业务日志，等待市中心批准{f'（第 {approval} 号申请）' if approval else ''}。{_KEPT}",
    )
