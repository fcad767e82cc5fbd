"""What ails devices that handle paper, in one set of words for scanners and printers (XFS4IoT where it has the word)."""

from devices.contract import DeviceFault, DeviceState

PAPER_OUT = "paperOut"
PAPER_LOW = "paperLow"
PAPER_JAMMED = "paperJammed"
COVER_OPEN = "coverOpen"
TONER_OUT = "tonerOut"
TONER_LOW = "tonerLow"


class PaperFault(DeviceFault):
    """Paper, cover or toner: a person puts it right. `reasons` as in `DeviceStatus.reasons`, the worst first."""

    def __init__(self, hint: str, reasons: tuple[str, ...], state: DeviceState | None = None) -> None:
        super().__init__(hint, state)
        self.reasons = reasons
