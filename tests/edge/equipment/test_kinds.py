"""A kind of device is known wherever it has to be: what docs/drivers.md says is to be done for a new one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from devices.contract import Reading
from devices.discovery import Discovery
from devices.document_scanner import DocumentScannerDriver
from devices.fingerprint import FingerprintDriver
from devices.id_card import IdCardDriver
from devices.printer import PrinterDriver
from devices.serial_scanner import SerialScannerDriver
from devices.social_card import SocialCardDriver
from devices.wedge_scanner import WedgeScannerDriver
from edge.door.device_answers import ANSWERS
from edge.equipment.actions import ACTIONS
from edge.equipment.device_list import Inventory, ListedDevice, listed
from edge.equipment.diagnosis import NAMES
from edge.equipment.makers import wanted_of
from hub.fleet.device_list import KINDS

DRIVERS = (SocialCardDriver, IdCardDriver, FingerprintDriver, SerialScannerDriver, WedgeScannerDriver, DocumentScannerDriver,
           PrinterDriver)
WORDS = Path(__file__).parents[3] / "edge/page/words.js"


def kinds(*, inventory: bool) -> set[str]:
    """Of edge/equipment/device_list.py."""
    models = [one for one in get_args(ListedDevice) if inventory or one is not Inventory]
    return {kind for one in models for kind in get_args(one.model_fields["kind"].annotation)}


def on_the_page() -> set[str]:
    table = re.search(r"KINDS = \{(.*?)\}", WORDS.read_text(encoding="utf-8"), re.DOTALL)
    assert table
    return set(re.findall(r'"([a-z-]+)":', table[1]))


def given(driver: type[Any]) -> Iterator[type[Any]]:
    """The data of what it reads."""
    for name in (name for name in vars(driver) if not name.startswith("_") and callable(getattr(driver, name))):
        back = get_type_hints(getattr(driver, name)).get("return")
        if get_origin(back) is Reading:
            yield get_args(back)[0]


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        pytest.param(set(KINDS), kinds(inventory=True), id="hub/fleet/device_list.py"),
        pytest.param(on_the_page(), kinds(inventory=True), id="edge/page/words.js"),
        pytest.param(set(ACTIONS), kinds(inventory=False), id="edge/equipment/actions.py"),
        pytest.param(set(NAMES) & kinds(inventory=False), kinds(inventory=False), id="edge/equipment/diagnosis.py"),
        pytest.param({one.kind for one in DRIVERS}, kinds(inventory=False), id="the drivers of this test"),
    ],
)
def test_a_kind_that_a_device_list_may_name_is_known(known: set[str], wanted: set[str]) -> None:
    assert known == wanted


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_a_driver_reads_is_answered_at_the_door(driver: type[Any]) -> None:
    data = set(given(driver))
    assert data
    assert data <= set(ANSWERS)


def test_what_a_device_list_names_has_a_driver() -> None:
    needed = {"id-card": {"port": "/dev/ttyS0"}, "barcode": {"usb": "05f9:2206"}, "printer": {"uri": "ipp://127.0.0.1/ipp/print"}}
    for kind in kinds(inventory=False) - {SocialCardDriver.kind}:  # these come from pcscd's readers
        (one,) = listed([{"name": "x", "kind": kind, **needed.get(kind, {})}])
        assert wanted_of(one, Discovery(), lambda: None, simulated=True).kind == kind
