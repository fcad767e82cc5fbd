"""Devices that are looked after no longer, as their list does not name them any more: told once, also over a restart.

A card reader that no list names is only gone: somebody has to look for it, and another one may come in its place.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from edge.equipment.device import DeviceView
from edge.equipment.events import Lister
from edge.equipment.recorder import DeviceRecorder

LOOK_S = 10.0
GONE_LOOKS = 6  # in a row: a list may be corrected in a moment, or hand a name from one source to another


class Departures:
    """`views` are of all devices that are looked after, `whole` says whose lists are known whole now."""

    def __init__(self, views: Callable[[], Sequence[DeviceView]], whole: Callable[[], AbstractSet[Lister]],
                 recorder: DeviceRecorder) -> None:
        self._views = views
        self._whole = whole
        self._recorder = recorder

    async def run(self) -> None:
        """Until cancelled. What was told of a device that left while the agent was off, too, gets its end."""
        missed = Counter[str]()
        while True:
            await asyncio.sleep(LOOK_S)
            gone = self._gone()
            missed = Counter({name: missed[name] + 1 for name in gone})
            for name in gone:
                if missed[name] >= GONE_LOOKS:
                    self._recorder.forget(name)

    def _gone(self) -> AbstractSet[str]:
        """Never what nobody listed, and nothing on the word of a list that is not known whole."""
        whole = self._whole()
        here = {view.name for view in self._views()}
        return {name for name, lister in self._recorder.listers.items() if lister in whole and name not in here}
