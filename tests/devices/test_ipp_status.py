"""What a printer's attributes mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.contract import REASONS_MAX, DeviceState
from devices.ipp_status import blocking, reasons_of, status_of
from devices.printer import HINTS, hint_of
from devices.printers import Supply, Value


@pytest.mark.parametrize(
    ("state", "reasons", "expected"),
    [
        (3, [], DeviceState.ONLINE),
        (4, [], DeviceState.DEVICE_BUSY),
        (5, ["media-jam-error"], DeviceState.HARDWARE_ERROR),
        (5, ["cover-open-error"], DeviceState.USER_ERROR),
        (5, ["paused"], DeviceState.USER_ERROR),
        (5, [], DeviceState.HARDWARE_ERROR),
        (3, ["offline-report"], DeviceState.OFFLINE),
        (5, ["connecting-to-device"], DeviceState.OFFLINE),
        (3, ["toner-low-report"], DeviceState.ONLINE),
        (77, [], DeviceState.ONLINE),
    ],
)
def test_a_state_is_said_in_the_contracts_words(state: int, reasons: list[str], expected: DeviceState) -> None:
    assert status_of({"printer-state": [state], "printer-state-reasons": [*reasons]}).state is expected


def test_reasons_are_in_our_words_each_once_and_the_worst_first() -> None:
    said = ["toner-low-report", "media-empty-warning", "media-needed", "fuser-over-temp-error", "media-jam", "none"]
    assert reasons_of(said) == ("paperJammed", "paperOut", "fuserOverTemp", "tonerLow")
    assert reasons_of(["none"]) == ()
    assert blocking(reasons_of(said)) == ("paperJammed", "paperOut")


def test_of_thousands_of_reasons_the_worst_few_are_said() -> None:
    said = reasons_of([*(f"vendor-reason-{number}" for number in range(3_000)), "media-jam"])
    assert said[:2] == ("paperJammed", "vendorReason0")
    assert len(said) == REASONS_MAX


def test_every_reason_with_which_nothing_comes_out_has_a_hint() -> None:
    every = reasons_of(
        ["media-jam", "cover-open", "media-empty", "input-tray-missing", "toner-empty", "marker-waste-full",
         "output-area-full", "spool-area-full", "offline", "paused"]
    )  # fmt: skip
    assert blocking(every) == every
    assert set(every) == set(HINTS)
    assert hint_of(()) == ""
    assert hint_of(("paperOut", "paused")) == HINTS["paperOut"]


def test_a_printer_says_which_it_is_by_serial_or_by_uuid() -> None:
    named: dict[str, list[Value]] = {
        "printer-make-and-model": ["HP LaserJet M28w"],
        "printer-uuid": ["urn:uuid:6bb9d4e2-681b-3699-586c-249a8a78573a"],
        "printer-device-id": ["MFG:HP;MDL:LaserJet M28w;CMD:PDF;SN:VNC3;URL:http://x:8/y;"],
    }
    identity = status_of(named).identity
    assert (identity.model, identity.serial) == ("HP LaserJet M28w", "VNC3")
    del named["printer-device-id"]
    assert status_of(named).identity.serial == "6bb9d4e2-681b-3699-586c-249a8a78573a"
    assert status_of({}).identity.serial == ""


def test_supplies_are_read_from_either_of_the_two_forms() -> None:
    pwg: dict[str, list[Value]] = {
        "printer-supply": [
            "index=1;class=receptacleThatIsFilled;type=wasteToner;unit=percent;maxcapacity=100;level=25;",
            "index=2;class=supplyThatIsConsumed;type=toner;unit=impressions;maxcapacity=1500;level=750;colorantname=black",
            "type=ink;maxcapacity=100;level=-2",
        ],
        "printer-supply-description": ["Waste", "Black Toner"],
    }
    assert status_of(pwg).supplies == (
        Supply("Waste", "wasteToner", 25, filled=True), Supply("Black Toner", "toner", 50), Supply("", "ink", None),
    )  # fmt: skip
    cups: dict[str, list[Value]] = {
        "marker-names": ["Black", "Waste"], "marker-types": ["toner", "waste-toner"], "marker-levels": [40, -1],
    }  # fmt: skip
    assert status_of(cups).supplies == (Supply("Black", "toner", 40), Supply("Waste", "waste-toner", None, filled=True))


VALUES = st.lists(st.one_of(st.integers(-(2**31), 2**31 - 1), st.booleans(), st.text(max_size=40)), max_size=3)
NAMES = st.sampled_from(
    ["printer-state", "printer-state-reasons", "queued-job-count", "printer-device-id", "printer-uuid", "printer-supply",
     "printer-supply-description", "marker-names", "marker-types", "marker-levels", "document-format-supported",
     "printer-is-accepting-jobs"]
)  # fmt: skip


@given(st.dictionaries(NAMES, VALUES))
def test_whatever_a_printer_says_there_is_a_status(attributes: dict[str, list[Value]]) -> None:
    status = status_of(attributes)
    assert all(supply.level_percent is None or 0 <= supply.level_percent <= 100 for supply in status.supplies)
    assert len(set(status.reasons)) == len(status.reasons)
