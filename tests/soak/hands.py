"""Hands at the devices of an office: what happens while a command waits, and what it may then rightly give."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from devices.id_number import id_check
from devices.simulated.folder import ReaderFolder
from devices.simulated.office import DOCUMENT, FINGER, ID_READER, PRINTER, SCANNER, OfficeFolder
from devices.simulated.printer_text import PrinterText
from devices.simulated.scanner_text import ScannerText

CARD = "R1"
STACK = "scan-stack"
CANCELLED = 0.08  # of all commands, so many
CANCEL_MAX_S = 2.0
FAMILIES = "赵钱孙李周吴郑王"


@dataclass(frozen=True)
class Person:
    """Everything about one differs from everybody else's."""

    name: str
    id_number: str

    @property
    def toml(self) -> str:
        return f'name = "{self.name}"\nid_number = "{self.id_number}"\n'


def person(number: int) -> Person:
    first17 = f"4107821990{number % 12 + 1:02}{number % 27 + 1:02}{number:03}"
    return Person(FAMILIES[number % len(FAMILIES)] * 2 + FAMILIES[number // len(FAMILIES) % len(FAMILIES)],
                  first17 + id_check(first17))


@dataclass(frozen=True)
class Played:
    """What hands do while a command waits, and what it may then rightly give."""

    how: str
    act: Callable[[], None]
    allowed: Sequence[Any]
    sheets: int = 0  # that may be all of a stack
    first: bool = False  # before the command: what asks for nobody is done before a hand comes


class Hands:
    """At one device: `play` draws what happens next, `heal` leaves it plugged and empty."""

    def __init__(self, device: str, random: Random, office: OfficeFolder, cards: ReaderFolder) -> None:
        self.device, self._random, self._office, self._cards = device, random, office, cards
        self.values: dict[str, Any] = {}

    def command(self) -> str:
        """What is asked of the device next."""
        if self.device == DOCUMENT:
            return self._random.choice(["preview", "scan", STACK])
        return {FINGER: "verify", PRINTER: "test-page"}.get(self.device, "read")

    def cancels_after_s(self) -> float | None:
        """Seconds until its window cancels; None: it does not."""
        return self._random.uniform(0, CANCEL_MAX_S) if self._random.random() < CANCELLED else None

    def heal(self) -> None:
        match self.device:
            case "R1":
                self._cards.plug(CARD)
            case "id-1":
                self._office.id_cards.plug(ID_READER)
            case "scan-1":
                self._office.codes.plug(SCANNER)
            case "finger-1":
                self._office.fingers.plug(FINGER)
            case "document-1":
                self._office.documents.plug()
            case _:
                self._office.printer.plug()

    def unplug(self) -> None:
        match self.device:
            case "R1":
                self._cards.unplug(CARD)
            case "id-1":
                self._office.id_cards.unplug(ID_READER)
            case "scan-1":
                self._office.codes.unplug(SCANNER)
            case "finger-1":
                self._office.fingers.unplug(FINGER)
            case "document-1":
                self._office.documents.unplug()
            case _:
                self._office.printer.unplug()

    def play(self, *, well: bool = False) -> Played:
        one, other = (person(number) for number in self._random.sample(range(500), 2))
        if not well and self._random.random() < 0.1:
            return Played("unplugged", self.unplug, [True] if self.device in (DOCUMENT, PRINTER) else [])
        match self.device:
            case "R1":
                return self._card(one, other, well)
            case "id-1":
                return self._id_card(one, other, well)
            case "scan-1":
                return self._code(one, well)
            case "finger-1":
                return self._finger(well)
            case "document-1":
                return self._page(well)
            case _:
                return self._print(well)

    def _card(self, one: Person, other: Person, well: bool) -> Played:
        how = "well" if well else self._random.choice(["well", "swapped", "pulled", "mute", "mute_after", "slow", "other"])
        count = self._random.randint(1, 15)
        if how == "swapped":
            return Played(how, lambda: (self._cards.insert(CARD, f"{one.toml}slow_ms = 20"), time.sleep(count / 50),
                                        self._cards.insert(CARD, other.toml))[-1], [one, other])
        more = {"pulled": f"pull_after = {count}", "mute": "mute = true", "mute_after": f"mute_after = {count}",
                "slow": f"slow_ms = {count}", "other": "other = true"}.get(how, "")
        return Played(how, lambda: self._cards.insert(CARD, one.toml + more), [one])

    def _id_card(self, one: Person, other: Person, well: bool) -> Played:
        hows = ["well", "swapped", "pull_after", "noise", "split", "doubled", "corrupt_every", "lost_every", "mute", "slow_ms",
                "unplug_every"]
        how = "well" if well else self._random.choice(hows)
        count = self._random.randint(2, 7)
        if how == "swapped":
            return Played(how, lambda: (self._office.id_cards.lay(ID_READER, one.toml), time.sleep(count / 20),
                                        self._office.id_cards.lay(ID_READER, other.toml))[-1], [one, other])
        value: object = {"noise": '"AAAA00"', "doubled": "true", "mute": "true"}.get(how, count)
        reader = f"[reader]\n{how} = {value}\n" if how not in ("well", "pull_after") else ""
        lifted = f"pull_after = {count}\n" if how == "pull_after" else ""
        return Played(how, lambda: self._office.id_cards.lay(ID_READER, one.toml + lifted + reader), [one])

    def _code(self, one: Person, well: bool) -> Played:
        how = "well" if well else self._random.choice(["well", "half", "unplugged in it", "garbage", "in pieces"])
        more = {"half": "stop_after = 5", "unplugged in it": "unplug_after = 5", "in pieces": "piece_bytes = 3\npause_ms = 5"}
        text = 'raw = "FFFE0D"' if how == "garbage" else f'codes = ["{one.id_number}"]\n{more.get(how, "")}'
        return Played(how, lambda: self._office.codes.show(SCANNER, text), [one.id_number])

    def _finger(self, well: bool) -> Played:
        how = "well" if well else self._random.choice(["well", "another", "retry", "unplug", "crash", "hang", "error"])
        text = {"well": 'finger = "zhang"\npresses = 1', "another": 'finger = "li"\npresses = 1',
                "retry": 'finger = "zhang"\npresses = 1\nretry = ["too-short"]'}.get(how, f'then = "{how}"')
        return Played(how, lambda: self._office.fingers.play(FINGER, text), [how in ("well", "retry")])

    def _page(self, well: bool) -> Played:
        how = "well" if well else self._random.choice(["well", "jam", "paper-out", "crash", "hang", "io", "slow"])
        text = {"well": ScannerText(), "slow": ScannerText(slow_ms=50), "hang": ScannerText(hang=True)}.get(how)
        text = text or ScannerText(fault=how, after=self._random.randint(0, 4))
        return Played(how, lambda: self._office.documents.plug(text), [True], text.after if how == "paper-out" else 0, first=True)

    def _print(self, well: bool) -> Played:
        how = "well" if well else self._random.choice(["well", "no paper", "jam", "hang", "slow", "cover-open"])
        text = {"well": PrinterText(), "no paper": PrinterText(paper=0), "hang": PrinterText(hang=True),
                "slow": PrinterText(slow_ms=300)}.get(how)
        return Played(how, lambda: self._office.printer.plug(text or PrinterText(fault=how)), [True], first=True)
