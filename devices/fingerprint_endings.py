"""What the reasons of the fingerprint line protocol mean to the caller of a driver, and to the person at the counter."""

from devices.contract import CardRefused, DeviceError, DeviceFault, DeviceState, DeviceUnavailable


class TemplateRefused(CardRefused):
    """This template is not for this reader, which is well: enrol the finger again here."""


UNAVAILABLE: dict[str, tuple[DeviceState, tuple[str, ...], str]] = {
    "no-device": (DeviceState.NO_DEVICE, (), "没有找到指纹仪。请检查指纹仪的连接线，重新插好。"),
    "removed": (DeviceState.NO_DEVICE, (), "没有找到指纹仪。请检查指纹仪的连接线，重新插好。"),
    "busy": (DeviceState.DEVICE_BUSY, (), "其他程序正在使用指纹仪。请关闭该程序后再试。"),
    "too-hot": (DeviceState.DEVICE_BUSY, ("tooHot",), "指纹仪连续工作太久，正在降温。请等几分钟再试。"),
    "not-open": (DeviceState.OFFLINE, (), "指纹仪刚刚重新启动过。请重新开始采集或比对。"),
    "died": (DeviceState.OFFLINE, ("driverError",), "指纹仪的驱动程序意外退出，正在重新启动。请再按一次手指。"),
}
FAULTS: dict[str, tuple[tuple[str, ...], str]] = {
    "silent": (("noAnswer",), "指纹仪没有应答。请拔下指纹仪重新插上；仍不行请报修。"),
    "protocol": (("driverError",), "指纹仪的驱动程序出错。请重试；仍不行请报修：需要更换指纹仪驱动的版本。"),
    "library": (("driverError",), "指纹仪的驱动程序没有装好。请报修：需要重新安装指纹仪驱动。"),
    "not-allowed": (("notAllowed",), "没有使用指纹仪的权限。请报修：需要给本程序开通指纹仪的使用权限。"),
    "keeps-prints": (("keepsPrints",), "这种指纹仪会把指纹留在设备里，不能用于窗口。请报修，换用不保存指纹的型号。"),
}
TEMPLATE = "这枚指纹不是在这种指纹仪上采集的，无法比对。请在本机重新采集。"
FAILED: tuple[tuple[str, ...], str] = ((), "指纹仪出错。请拔下指纹仪重新插上；仍不行请报修。")


def ending(reason: str) -> DeviceError:
    """The error to raise; one that nobody knows is a fault of the reader."""
    if reason == "template":
        return TemplateRefused(TEMPLATE)
    error: DeviceError
    if reason in UNAVAILABLE:
        state, reasons, hint = UNAVAILABLE[reason]
        error = DeviceUnavailable(hint, state)
    else:
        reasons, hint = FAULTS.get(reason, FAILED)
        error = DeviceFault(hint)
    error.reasons = reasons
    return error
