"""What every part of an agent is made from, and how one identity gives way to the next."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import NoReturn

from devices.cards import CardReaders
from edge.alarms import Alarms
from edge.attachments.attachments import Attachments
from edge.config import EdgeConfig
from edge.equipment.device_list import CurrentList
from edge.equipment.equipment import Equipment
from edge.equipment.recorder import DeviceRecorder
from edge.equipment.unlisted import Unattended
from edge.state import StateFolder
from security.clock import Clock

Work = Callable[[], Coroutine[None, None, None]]


class NextIdentity(Exception):
    """The agent goes on with the newest identity: another journal, one that opens now, or a certificate that it can use now."""


@dataclass(frozen=True)
class Agent:
    """What lasts while identities follow each other."""

    state: StateFolder
    config: EdgeConfig
    clock: Clock
    alarms: Alarms
    readers: CardReaders
    equipment: Equipment
    unattended: Unattended
    listed: CurrentList
    recorder: DeviceRecorder
    attachments: Attachments


async def until_mended(mending: Work) -> NoReturn:
    """Raises NextIdentity, then."""
    await mending()
    raise NextIdentity
