"""What is wrong with a device, and who can mend it: one Chinese sentence with the next step. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from devices.contract import UNREADABLE, DeviceState, DeviceStatus


class Mender(StrEnum):
    """Who can mend it."""

    NOBODY = ""  # all is well
    COUNTER = "counter"  # whoever stands before it: cable, paper, card
    TECHNICIAN = "technician"  # driver, service, settings
    REPAIR = "repair"  # the device itself


@dataclass(frozen=True, slots=True)
class DeviceDiagnosis:
    """`chinese` is "" when all is well."""

    mender: Mender
    chinese: str


NAMES = {
    "social-card": "社保卡读卡器", "id-card": "身份证读卡器", "fingerprint": "指纹仪", "barcode": "扫码枪",
    "document": "高拍仪（扫描仪）", "printer": "打印机",
}
WELL = DeviceDiagnosis(Mender.NOBODY, "")

_REASONS = {
    "unlisted": (Mender.NOBODY, ""),
    "unseen": (Mender.NOBODY, "正在检查{name}，请稍候。"),
    "paperOut": (Mender.COUNTER, "{name}缺纸。请装好纸张，设备会自动恢复。"),
    "paperLow": (Mender.COUNTER, "{name}纸张将尽。请备好纸张。"),
    "paperJammed": (Mender.COUNTER, "{name}卡纸。请按机身图示打开盖板、取出卡住的纸张后合上。"),
    "coverOpen": (Mender.COUNTER, "{name}盖板未合上。请合好盖板。"),
    "tonerOut": (Mender.COUNTER, "{name}碳粉或墨水用完。请更换耗材。"),
    "tonerLow": (Mender.COUNTER, "{name}碳粉或墨水将尽。请备好耗材。"),
    "trayMissing": (Mender.COUNTER, "{name}的纸盒没有装好。请推紧纸盒。"),
    "outputFull": (Mender.COUNTER, "{name}出纸口已满。请取走已打印的纸张。"),
    "outputAlmostFull": (Mender.COUNTER, "{name}出纸口将满。请取走已打印的纸张。"),
    "wasteFull": (Mender.REPAIR, "{name}的废粉盒已满。请联系维修人员更换。"),
    "wasteAlmostFull": (Mender.REPAIR, "{name}的废粉盒将满。请联系维修人员备好更换件。"),
    "memoryFull": (Mender.COUNTER, "{name}存储已满。请关闭电源后重新打开。"),
    "paused": (Mender.COUNTER, "{name}已暂停。请在机身面板上按“继续”。"),
    "offline": (Mender.COUNTER, "{name}处于脱机状态。请在机身面板上切换为联机。"),
    "tooHot": (Mender.COUNTER, "{name}过热，正在冷却。请等几分钟后再用。"),
    "notAllowed": (Mender.TECHNICIAN, "本程序没有使用{name}的权限。请技术人员检查服务账号的设备权限。"),
    "keepsPrints": (Mender.TECHNICIAN, "{name}会在机内保存指纹，不得使用。请技术人员更换型号。"),
    "noPsam": (Mender.TECHNICIAN, "{name}的 PSAM 卡不在或不能用，读不了第三代卡。请改用身份证办理，并请技术人员检查 PSAM 卡。"),
    "noAnswer": (Mender.COUNTER, "{name}没有应答。请拔下数据线、等 5 秒后重新插上；仍不行请报修。"),
    UNREADABLE: (Mender.COUNTER, "{name}上一次没有读清。请把卡、证件或码擦净放好再试；换别的也读不清，请联系技术人员检查设备。"),
    "driverError": (Mender.TECHNICIAN, "{name}的驱动程序出错。请联系市信息中心，并保留本机日志。"),
}
_STATES = {
    DeviceState.NO_DEVICE: (Mender.COUNTER, "找不到{name}。请检查连接线是否插好、电源是否打开。"),
    DeviceState.POWER_OFF: (Mender.COUNTER, "{name}没有通电。请打开电源开关。"),
    DeviceState.OFFLINE: (Mender.TECHNICIAN, "{name}的系统服务没有运行或网络不通。一分钟后未恢复请联系技术人员。"),
    DeviceState.HARDWARE_ERROR: (Mender.REPAIR, "{name}故障。请关闭设备电源后重新打开；仍不行请报修。"),
    DeviceState.USER_ERROR: (Mender.COUNTER, "{name}里的卡或材料读不了。请取出，检查方向后重新放入；仍不行请换一张。"),
    DeviceState.FRAUD_ATTEMPT: (Mender.REPAIR, "{name}可能被改装。请停止使用，并立即报告市信息中心。"),
    DeviceState.POTENTIAL_FRAUD: (Mender.REPAIR, "{name}里的卡可能是伪造的。请停止办理，并报告负责人。"),
}


def diagnose(kind: str, status: DeviceStatus) -> DeviceDiagnosis:
    """Of one device, by the worst that it says of itself."""
    told = next((_REASONS[reason] for reason in status.reasons if reason in _REASONS), None) or _STATES.get(status.state)
    if told is None:
        return WELL
    mender, text = told
    return DeviceDiagnosis(mender, text.format(name=NAMES.get(kind, "设备")))
