"""One Chinese sentence with the next step for whatever a driver can say."""

from __future__ import annotations

import pytest

from devices import fingerprint_endings, ipp_status, paper
from devices.contract import UNREADABLE, DeviceState, DeviceStatus
from devices.psam_slot import NO_PSAM_REASON
from edge.equipment.diagnosis import NAMES, WELL, Mender, diagnose

OF_PAPER = sorted({value for name, value in vars(paper).items() if name.isupper() and isinstance(value, str)
                   and value[:1].islower() and value.isalpha()})
OF_FINGERS = sorted({reason for _, reasons, _ in fingerprint_endings.UNAVAILABLE.values() for reason in reasons}
                    | {reason for reasons, _ in fingerprint_endings.FAULTS.values() for reason in reasons})
OF_PRINTERS = sorted(set(ipp_status.REASONS.values()))


@pytest.mark.parametrize("reason", sorted({UNREADABLE, NO_PSAM_REASON, *OF_PAPER, *OF_FINGERS, *OF_PRINTERS}))
def test_every_reason_of_a_driver_has_a_sentence_of_its_own(reason: str) -> None:
    well = diagnose("printer", DeviceStatus(DeviceState.HARDWARE_ERROR))
    told = diagnose("printer", DeviceStatus(DeviceState.HARDWARE_ERROR, reasons=(reason,)))
    assert told != well, f"{reason}: add it to edge/equipment/diagnosis.py"
    assert told.chinese.endswith("。")
    assert told.mender is not Mender.NOBODY


def test_the_lists_of_reasons_are_not_empty() -> None:
    assert {"paperOut", "paperJammed", "tonerOut"} <= set(OF_PAPER)
    assert {"noAnswer", "notAllowed", "keepsPrints"} <= set(OF_FINGERS)


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("state", DeviceState)
def test_every_state_that_is_not_well_says_what_to_do(kind: str, state: DeviceState) -> None:
    told = diagnose(kind, DeviceStatus(state))
    if state in (DeviceState.ONLINE, DeviceState.DEVICE_BUSY):
        assert told == WELL
    else:
        assert NAMES[kind] in told.chinese
        assert told.chinese.count("。") >= 2
