"""The contract test finds what it is there for: each bad driver is refused by the test that is named, in those words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from docs.examples.rating_pad import RatingPadDriver
from tests.devices import bad_drivers as bad
from tests.devices import test_driver_contract as contract
from tests.devices.stands import handling, rating_pad
from tests.devices.stands.handling import Build

Check = Callable[[Build], None]
LONG_S = 30.0

FOUND: dict[Check, list[tuple[type[RatingPadDriver], str]]] = {
    contract.test_a_probe_says_which_device_it_is_and_changes_nothing: [(bad.ProbeTellsTheDevice, "a probe told the device")],
    contract.test_a_probe_beside_a_reader_disturbs_no_reading: [(bad.ProbeClosesTheLine, "连接断开")],
    contract.test_a_device_that_is_not_there_is_said_to_be_away_and_can_not_be_taken: [
        (bad.ProbeRaises, "没有找到设备"),
        (bad.ProbeSeesNothing, "it is said to be"),
        (bad.TakesWhatIsNotThere, "it was taken"),
    ],
    contract.test_two_readings_are_two_however_equal_and_say_where_and_when_they_were_made: [
        (bad.LeavesAHandle, "left behind: .*handle"),
        (bad.LeavesAThread, "left behind: .*thread"),
        (bad.LeavesATask, "left behind: .*task"),
        (bad.LeavesAProcess, "left behind: .*process"),
        (bad.LetsGoLate, "it does not let go"),
        (bad.SaysNoSerial, "its serial is not"),
        (bad.NamesItself, "it names another device"),
        (bad.ObservedIn1970, "it was not observed"),
        (bad.HasOneIdForAll, "an id of its own"),
        (bad.HidesThatItIsSimulated, "what it is"),
        (bad.ShowsWhatWasPressed, "its repr shows"),
        (bad.LogsWhatWasPressed, "in the log"),
    ],
    contract.test_what_one_person_presents_is_never_given_for_another: [(bad.GivesTheFirstPersonsToAll, "the same data")],
    contract.test_what_was_presented_and_gone_before_anybody_asked_is_no_answer: [(bad.GivesWhatWasPressedBefore, "of somebody")],
    contract.test_what_is_no_reading_gives_none: [(bad.MakesAReadingOfNoise, "made of noise")],
    contract.test_a_device_unplugged_while_it_is_read_ends_the_reading_and_comes_back: [
        (bad.EndsInABug, "a bug of the driver"),
        (bad.GivesNoHint, "no hint"),
    ],
    contract.test_a_device_that_hangs_holds_up_nobody_who_gives_up: [
        (bad.ProbeHangsWithTheDevice, "the probe has not ended"),
        (bad.KeepsTheLineAfterAnError, "占用"),
        (bad.LetsGoLate, "it does not let go"),
    ],
    contract.test_nobody_presents_anything_and_the_wait_can_be_given_up: [
        (bad.ReadsWhenCancelled, "ended otherwise"),
        (bad.WaitsOnWhenCancelled, "it has not ended"),
        (bad.ReadsWhatIsNotThere, "a reading of nothing"),
    ],
}
PARAMS = [pytest.param(check, *one, id=one[0].__name__) for check, found in FOUND.items() for one in found]


USED_UP: dict[type[RatingPadDriver], tuple[str, float]] = {
    bad.LeavesAHandle: ("LEFT_MAX_S", 0.2),
    bad.LeavesAThread: ("LEFT_MAX_S", 0.2),
    bad.LeavesATask: ("LEFT_MAX_S", 0.2),
    bad.LeavesAProcess: ("LEFT_MAX_S", 0.2),
    bad.LetsGoLate: ("END_MAX_S", 0.8),
    bad.ProbeHangsWithTheDevice: ("PROBE_MAX_S", 0.5),
    bad.KeepsTheLineAfterAnError: ("READ_MAX_S", 3.0),
    bad.WaitsOnWhenCancelled: ("READ_MAX_S", 3.0),
}


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    with closing(bad.AFTERWARDS):
        yield


@pytest.mark.parametrize(("check", "driver", "words"), PARAMS)
def test_a_bad_driver_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Check, driver: type[RatingPadDriver], words: str
) -> None:
    """The limit that a driver uses up is short, for it alone; that in which it does its harm is never too short."""
    if driver in USED_UP:
        monkeypatch.setattr(handling, *USED_UP[driver])
    monkeypatch.setattr(handling, "TAKEN_MAX_S", LONG_S)
    monkeypatch.setattr(contract, "SPOILED_MAX_S", LONG_S)
    with pytest.raises(Exception, match=words):
        check(lambda: rating_pad.stand(tmp_path, driver))


def test_every_contract_test_is_failed_by_some_bad_driver() -> None:
    assert {one for name, one in vars(contract).items() if name.startswith("test_")} == set(FOUND)
