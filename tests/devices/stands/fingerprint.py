"""A finger on a virtual sensor of libfprint, in a worker process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devices.fingerprint import KIND, Feedback, FingerprintDriver
from devices.fingerprint_process import FingerprintProcess
from devices.simulated.fingerprint_reader import simulated_command
from devices.simulated.fingerprint_script import FingerprintFolder
from tests.devices.stands.stand import Presented

NAME = "finger"
ANSWER_MAX_S, HANGING_MAX_S = 30.0, 2.0
SILENCE_MAX_S = 30.0
ENROLMENT = 5  # presses, of libfprint's virtual image sensor


@dataclass
class FingerprintStand:
    """See `tests.devices.stands.stand.Stand`."""

    process: FingerprintProcess
    folder: FingerprintFolder
    told: list[Feedback] = field(default_factory=list)
    kind: str = KIND
    simulated: bool = True
    presented: Presented = Presented.MEANWHILE
    secrets: tuple[str, ...] = ("FP3", "virtual_image")  # what libfprint writes into every template
    device: str = NAME

    def driver(self) -> FingerprintDriver:
        return FingerprintDriver(self.process, NAME, self.told.append)

    async def present(self) -> None:
        self.play('finger = "zhang"', f"presses = {ENROLMENT}")

    async def present_other(self) -> None:
        self.play('finger = "li"', f"presses = {ENROLMENT}")

    async def spoil(self) -> None:
        self.play('finger = "zhang"', f"presses = {ENROLMENT - 1}", 'retry = ["unclear", "too-short"]')

    async def take_back(self) -> None:
        pass

    def touched(self) -> str:
        return ""

    def play(self, *lines: str) -> None:
        self.folder.play(NAME, "\n".join(lines))

    async def unplug(self) -> None:
        self.folder.unplug(NAME)

    async def plug(self) -> None:
        await self.wake()

    async def hang(self) -> None:
        self.play("hang = true")
        self.process._answer_max_s = HANGING_MAX_S

    async def wake(self) -> None:
        self.folder.plug(NAME)
        self.process._answer_max_s = ANSWER_MAX_S


@asynccontextmanager
async def stand(folder: Path, silence_max_s: float = SILENCE_MAX_S) -> AsyncIterator[FingerprintStand]:
    hands = FingerprintFolder(folder)
    hands.plug(NAME)
    command = simulated_command(folder, NAME)
    async with FingerprintProcess(command, answer_max_s=ANSWER_MAX_S, silence_max_s=silence_max_s) as process:
        yield FingerprintStand(process, hands)
