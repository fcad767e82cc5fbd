"""What scanimage says, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.contract import DeviceError, DeviceFault, DeviceState, DeviceUnavailable
from devices.paper import PaperFault
from devices.scanimage import arguments_of
from devices.scanimage_output import (
    BatchEnd,
    Complaint,
    PageFile,
    PageProgress,
    complaints,
    ending,
    line_of,
    scanners_of,
    serial_of,
    sources_of,
)
from devices.scanners import Scanner, ScanSettings, feeder_of


def usb(root: Path, name: str, bus: str, device: str, serial: str) -> None:
    (root / name).mkdir()
    for file, text in (("busnum", bus), ("devnum", device), ("serial", serial)):
        (root / name / file).write_text(text + "\n")


def test_a_listing_is_read_through_the_noise_of_backends(tmp_path: Path) -> None:
    output = "genesys: warming up\ntest:0\tNoname\tfrontend-tester\tvirtual device\n\nescl:http://10.0.0.9\tHP\tM28\tflatbed\n"
    assert scanners_of(output, tmp_path) == (
        Scanner("test:0", "Noname", "frontend-tester", "", simulated=True),
        Scanner("escl:http://10.0.0.9", "HP", "M28"),
    )


def test_a_usb_scanner_has_the_serial_that_the_kernel_read_wherever_it_is_plugged(tmp_path: Path) -> None:
    usb(tmp_path, "1-2", "1", "4", "KKMD12345")
    usb(tmp_path, "2-1.3", "2", "14", "OTHER")
    assert serial_of("genesys:libusb:001:004", tmp_path) == "KKMD12345"
    assert serial_of("genesys:libusb:002:014", tmp_path) == "OTHER"
    assert serial_of("genesys:libusb:003:004", tmp_path) == ""
    assert serial_of("hpaio:/usb/HP_LaserJet?serial=CNB1", tmp_path) == "CNB1"
    assert serial_of("v4l:/dev/video0", tmp_path / "no such") == ""


def test_a_line_is_progress_a_file_a_complaint_or_nothing() -> None:
    assert line_of("Progress: 47.1%") == PageProgress(47.1)
    assert line_of("12.jpeg") == PageFile("12.jpeg")
    assert line_of("scanimage: sane_start: Device busy") == Complaint("sane_start: Device busy")
    assert line_of("Batch terminated, 1 page scanned") == BatchEnd()
    for noise in ("Scanning page 1", "../1.png", "/1.png", "1.png.part", "Progress: lots%", ""):
        assert line_of(noise) is None


@pytest.mark.parametrize(
    ("line", "sources", "feeder"),
    [
        ("    --source Flatbed|Automatic Document Feeder [Flatbed]", 2, "Automatic Document Feeder"),
        ("    --source Flatbed|ADF Front|ADF Back|ADF Duplex [Flatbed] [advanced]", 4, "ADF Front"),
        ("    --source ADF [inactive]", 1, "ADF"),
        ("    --source Flatbed|Transparency Adapter|Automatic Slide Feeder [Flatbed]", 3, None),
        ("    --source-of-light Lamp|ADF [Lamp]", 0, None),
        ("    --mode Gray|Color [Gray]", 0, None),
    ],
)
def test_what_a_scanner_scans_from_is_read_and_its_feeder_known(line: str, sources: int, feeder: str | None) -> None:
    found = sources_of(["All options specific to device `test:0':", line, "        Selects the scan source."])
    assert len(found) == sources
    assert feeder_of(found) == feeder


def test_complaints_are_told_from_all_else() -> None:
    assert complaints(["Progress: 1.0%", "scanimage: open of device x failed", "1.png"]) == ["open of device x failed"]


@pytest.mark.parametrize(
    ("status", "words", "kind", "state"),
    [
        (6, ["sane_read: Document feeder jammed"], PaperFault, DeviceState.HARDWARE_ERROR),
        (7, ["sane_start: Document feeder out of documents"], PaperFault, DeviceState.USER_ERROR),
        (0, ["sane_start: Document feeder out of documents"], PaperFault, DeviceState.USER_ERROR),
        (8, ["sane_start: Scanner cover is open"], PaperFault, DeviceState.USER_ERROR),
        (9, ["sane_read: Error during device I/O"], DeviceUnavailable, DeviceState.OFFLINE),
        (1, ["open of device x failed: Invalid argument"], DeviceUnavailable, DeviceState.NO_DEVICE),
        (1, ["open of device x failed: Device busy"], DeviceUnavailable, DeviceState.DEVICE_BUSY),
        (1, ["open of device x failed: Access to resource has been denied"], DeviceFault, DeviceState.HARDWARE_ERROR),
        (1, ["setting of option --mode failed (Invalid argument)"], DeviceFault, DeviceState.HARDWARE_ERROR),
        (1, ["unrecognized option '--mode=Gray'"], DeviceFault, DeviceState.HARDWARE_ERROR),
        (10, [], DeviceFault, DeviceState.HARDWARE_ERROR),
        (0, [], DeviceFault, DeviceState.HARDWARE_ERROR),
        (-11, [], DeviceUnavailable, DeviceState.OFFLINE),
    ],
)
def test_an_ending_without_a_page_tells_what_to_do(
    status: int, words: list[str], kind: type[DeviceError], state: DeviceState
) -> None:
    error = ending(status, words, 0)
    assert type(error) is kind
    assert error.state is state
    assert error.hint.endswith("。")


def test_an_empty_feeder_is_a_good_end_after_a_page_and_a_jam_never() -> None:
    empty, jam = "sane_start: Document feeder out of documents", "sane_read: Document feeder jammed"
    assert ending(0, [empty], 3) is None
    assert ending(7, [empty], 3) is None
    assert ending(0, [], 1) is None
    assert isinstance(ending(6, [jam], 3), PaperFault)
    assert isinstance(ending(0, [jam], 3), PaperFault)
    assert isinstance(ending(-9, [empty], 3), DeviceUnavailable)
    assert ending(None, [empty], 3) is ending(None, [], 1) is None
    assert isinstance(ending(None, [jam], 3), PaperFault)
    assert isinstance(ending(None, [empty], 0), PaperFault)
    assert isinstance(ending(None, [], 0), DeviceFault)


@given(st.integers(-64, 255), st.lists(st.text(max_size=60), max_size=4), st.integers(0, 3))
def test_whatever_it_says_an_ending_is_one_of_the_three(status: int, words: list[str], pages: int) -> None:
    error = ending(status, words, pages)
    assert error is None or error.hint
    assert error is not None or pages


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "Gray\n"}, {"mode": "\0"}, {"source": "a" * 65}, {"resolution_dpi": 10},
        {"resolution_dpi": 99999}, {"picture": "pnm"}, {"area_mm": (0, 10)}, {"area_mm": (10, 5000)},
    ],
)  # fmt: skip
def test_settings_that_are_none_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ScanSettings(**wrong)  # type: ignore[arg-type]


def test_settings_as_scanners_call_them_are_taken() -> None:
    for mode in ("Gray", "24bit Color[Fast]", "Black & White", "Color - 16 Million Colors", "彩色"):
        ScanSettings(mode=mode)
    ScanSettings(source="Automatic Document Feeder(left aligned,Duplex)", area_mm=(210, 297))


def test_a_setting_is_never_another_option_of_the_program() -> None:
    scanner = Scanner("test:0", "", "")
    arguments = arguments_of(scanner, ScanSettings(mode="--output-file=x", source="-d"), 1)
    assert "--mode=--output-file=x" in arguments
    assert "--source=-d" in arguments


def test_a_camera_is_not_asked_for_a_resolution_that_its_backend_refuses_whole() -> None:
    for name, asked in (("v4l:/dev/video0", False), ("genesys:libusb:001:004", True)):
        assert ("--resolution=200" in arguments_of(Scanner(name, "", ""), ScanSettings(), 1)) is asked
    own = arguments_of(Scanner("test:0", "", ""), ScanSettings(resolution_dpi=None), 1)
    assert [one for one in own if "resolution" in one] == []
