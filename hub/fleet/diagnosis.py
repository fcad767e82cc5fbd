"""What a machine as a whole is like from here, and who can mend it: one Chinese sentence with the next step. Pure.

The hub cannot hear of a line that is cut; it knows when it last heard of a machine, and what waits for a person here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Mender(StrEnum):
    """Who can mend it."""

    NOBODY = ""  # all is well
    DESK = "desk"  # whoever decides at the hub
    COUNTER = "counter"  # whoever stands before the machine: power, cable, paper, card
    TECHNICIAN = "technician"  # program, service, settings
    REPAIR = "repair"  # the device itself


class Condition(StrEnum):
    """Where a machine says the same of itself, in the machine's words (docs/certificates.md)."""

    CONNECTED = "connected"
    WAITING_FOR_APPROVAL = "waiting-for-approval"
    FOLLOWED = "followed"
    REVOKED = "revoked"
    CLONED = "cloned"
    REFUSED = "refused"
    CERTIFICATE_EXPIRED = "certificate-expired"
    NEVER_HEARD = "never-heard"
    SILENT = "silent"
    RESOURCE_REFUSED = "resource-refused"
    DEVICES = "devices"


@dataclass(frozen=True, slots=True)
class Ailing:
    """A device with which somebody has to do something, in its machine's own words."""

    device: str
    mender: str
    chinese: str


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """`heard_ms` is None for a machine that never called since it enrolled. `revoked_why` is "" of one that may work; `successor`
    came in its place. `requests` wait for a decision. `copied`: an alarm about a copy of it is open. `refusal`: why its records
    are not taken; `unapplied`: the resource that it would not apply, with its reason.
    """

    now_ms: int
    connected: bool
    heard_ms: int | None
    certificate_ends_ms: int | None = None
    revoked_why: str = ""
    successor: str = ""
    requests: Sequence[int] = ()
    copied: bool = False
    refusal: str = ""
    unapplied: str = ""
    ailing: Sequence[Ailing] = ()


@dataclass(frozen=True, slots=True)
class MachineDiagnosis:
    condition: Condition
    mender: Mender
    chinese: str


WELL = MachineDiagnosis(Condition.CONNECTED, Mender.NOBODY, "已连接，一切正常。")
_LOOK = "请站点检查电脑是否开机、网线、路由器和专线（或 VPN）是否接好；仍不通请联系线路运营商。"


def diagnose(facts: MachineFacts) -> MachineDiagnosis:
    """What comes first: what a person at the hub has to settle, then the line, then what the machine has."""
    return _at_the_desk(facts) or _by_line(facts) or _at_the_machine(facts) or WELL


def _at_the_desk(facts: MachineFacts) -> MachineDiagnosis | None:
    if facts.requests:
        numbers = "、".join(map(str, facts.requests))
        return MachineDiagnosis(Condition.WAITING_FOR_APPROVAL, Mender.DESK, (
            f"有 {len(facts.requests)} 项申请等待审批（编号 {numbers}）。"
            "请核实后运行 suozhan-hub approvals approve（或 refuse）加编号。"))
    if facts.successor:
        return MachineDiagnosis(Condition.FOLLOWED, Mender.NOBODY, (
            f"该机器已由新身份 {facts.successor} 接替，本身份无须处理。请看新身份的情况。"))
    if facts.revoked_why:
        return MachineDiagnosis(Condition.REVOKED, Mender.DESK, (
            f"该机器已被市中心停用（{facts.revoked_why}）。如要恢复使用，请运行 suozhan-hub invite 加站点编号和 --replaces，"
            "再在该机器上运行 suozhan-edge rejoin 加邀请码。"))
    if facts.copied:
        return MachineDiagnosis(Condition.CLONED, Mender.DESK, (
            "有另一台机器使用该机器的身份（硬盘被复制，或由旧备份恢复）。"
            "请查明是哪一台，处理后运行 suozhan-hub alarms clear 加编号。"))
    return None


def _by_line(facts: MachineFacts) -> MachineDiagnosis | None:
    if facts.refusal:
        return MachineDiagnosis(Condition.REFUSED, Mender.TECHNICIAN, (
            f"市中心拒收该机器的记录（{facts.refusal}）。请技术人员在该机器上运行 suozhan-edge status，按提示处理。"))
    if facts.connected:
        return None
    if facts.heard_ms is None:
        return MachineDiagnosis(Condition.NEVER_HEARD, Mender.TECHNICIAN, (
            f"该机器登记后从未连接。请技术人员在该机器上运行 suozhan-edge doctor；{_LOOK}"))
    heard = span(facts.now_ms - facts.heard_ms)
    if facts.certificate_ends_ms is not None and facts.certificate_ends_ms <= facts.now_ms:
        return MachineDiagnosis(Condition.CERTIFICATE_EXPIRED, Mender.COUNTER, (
            f"目前没有连接，最后一次联系在 {heard}前，证书也已过期，连通后会自动更新。{_LOOK}"))
    return MachineDiagnosis(Condition.SILENT, Mender.COUNTER, (
        f"目前没有连接，最后一次联系在 {heard}前。下班关机的无须处理；不是的，{_LOOK}"))


def _at_the_machine(facts: MachineFacts) -> MachineDiagnosis | None:
    if facts.unapplied:
        return MachineDiagnosis(Condition.RESOURCE_REFUSED, Mender.DESK, (
            f"该机器没有采用市中心发布的内容（{facts.unapplied}）。请更正后重新发布。"))
    if facts.ailing:
        first = facts.ailing[0]
        return MachineDiagnosis(Condition.DEVICES, _mender(first.mender), (
            f"有 {len(facts.ailing)} 台设备需要处理，先看 {first.device}：{first.chinese}"))
    return None


def _mender(said: str) -> Mender:
    """As a machine said it, which may be newer than this hub."""
    return Mender(said) if said in set(Mender) else Mender.TECHNICIAN


def span(ms: int) -> str:
    """"3 小时": one unit, rounded down."""
    if ms < HOUR_MS:
        return f"{max(ms, 0) // MINUTE_MS} 分钟"
    return f"{ms // HOUR_MS} 小时" if ms < DAY_MS else f"{ms // DAY_MS} 天"
