"""Events of devices into the journal, each once and in their order; what was last told of each, over restarts."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import structlog

from devices.contract import DeviceIdentity, DeviceStatus
from edge.drafts import BadDraft, Draft, JournalRefused, Stored
from edge.equipment.device import DeviceView
from edge.equipment.diagnosis import diagnose
from edge.equipment.events import Condition, DeviceEvent, EventKind, Known, Lister, events_of, is_reworded, last_of
from security.clock import Clock
from security.private_files import write_private

WAITING_MAX = 1_000  # events that the journal has not taken; then the oldest are given up, and a record says how many
RETRY_S = 5.0
FAULT_AGAIN_S = 300.0  # the same fault in other words, at the soonest: some devices say others at every look
REWORDED_LOOK_S = 10.0
LOST = "device.events-lost"

log = structlog.get_logger()


class EventJournal(Protocol):
    async def submit(self, draft: Draft) -> Stored: ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An event on its way, and what is known of the device once it is stored; None: nothing, as it is looked after no longer."""

    name: str
    known: Known | None
    draft: Draft


class DeviceRecorder:
    """`notice` each view; `run` writes. `path` keeps what was last told of each device, `lister_of` says who lists a name now."""

    def __init__(self, path: Path, clock: Clock, lister_of: Callable[[str], Lister] = lambda _: Lister.NOBODY) -> None:
        self._path = path
        self._clock = clock
        self._lister_of = lister_of
        self._known = _load(path)  # by name: as told, and on its way
        self._told = dict(self._known)
        self._waiting: deque[_Waiting] = deque()
        self._fault_ms: dict[str, int] = {}  # since boot, when it was told last
        self._reworded: dict[str, DeviceView] = {}  # told once its time has come
        self._lost = 0
        self._relisted = False  # who lists a device is not on disk yet, and no event says so
        self._refused = ""  # why the journal takes none; logged when it changes
        self._come = asyncio.Event()

    def notice(self, view: DeviceView) -> None:
        """Of the device's task; never waits."""
        before = self._known.get(view.name, Known())
        known, events = events_of(before, view.status)
        known = replace(known, kind=view.kind, simulated=view.simulated, listed=self._lister_of(view.name) or before.listed)
        self._reworded.pop(view.name, None)
        if is_reworded(before, events) and self._clock.boottime_ms() - self._fault_ms.get(view.name, 0) < FAULT_AGAIN_S * 1_000:
            self._reworded[view.name] = view
            return
        self._known[view.name] = known
        for event in events:
            if event.kind is EventKind.FAULT:
                self._fault_ms[view.name] = self._clock.boottime_ms()
            log.info(event.kind.value, device=view.name, state=event.state.value, reasons=event.reasons)
            self._wait(_Waiting(view.name, known, self._draft(view, event)))
        self._list(view.name, known.listed)

    def _list(self, name: str, lister: Lister) -> None:
        """Kept without an event, too: it may leave its list before anything else happens to it."""
        told = self._told.get(name)
        if told is not None and told.listed is not lister:
            self._told[name] = replace(told, listed=lister)
            self._relisted = True
            self._come.set()

    @property
    def listers(self) -> Mapping[str, Lister]:
        """Who named each device last of which something is known, also from before this start."""
        return {name: known.listed for name, known in self._known.items()}

    def forget(self, name: str) -> None:
        """It is looked after no longer, and nobody has to mend it. Never waits."""
        known = self._known.pop(name)
        self._reworded.pop(name, None)
        self._fault_ms.pop(name, None)
        for event in last_of(known):
            view = DeviceView(name, known.kind, DeviceStatus(event.state, event.identity, event.reasons), self._clock.unix_ms(),
                              known.simulated)
            log.info(event.kind.value, device=name, state=event.state.value, reasons=event.reasons)
            self._wait(_Waiting(name, None, self._draft(view, event)))

    def _wait(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        while len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self._lost += 1
        self._come.set()

    async def run(self, journal: EventJournal) -> None:
        """Until cancelled."""
        while True:
            self._come.clear()
            for view in tuple(self._reworded.values()):
                self.notice(view)
            if self._relisted:
                await self._save()
            while self._waiting or self._lost:
                if not await self._stored(journal):
                    await asyncio.sleep(RETRY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(REWORDED_LOOK_S):
                    await self._come.wait()

    async def _stored(self, journal: EventJournal) -> bool:
        if self._lost:
            count = self._lost  # more may be lost meanwhile
            body = _json({"count": count, "noticed_ms": self._clock.unix_ms()})
            stored = await self._submitted(journal, Draft(f"event:{uuid4()}", LOST, body))
            self._lost -= count if stored else 0
            return stored
        waiting = self._waiting[0]
        if not await self._submitted(journal, waiting.draft):
            return False
        if self._waiting and self._waiting[0] is waiting:
            self._waiting.popleft()
        else:
            self._lost -= 1  # given up on its way, and stored all the same
        if waiting.known is None:
            self._told.pop(waiting.name, None)
        else:
            self._told[waiting.name] = waiting.known
        await self._save()
        return True

    async def _save(self) -> None:
        self._relisted = False
        try:
            await asyncio.to_thread(write_private, self._path, _dump(self._told))
        except OSError as error:  # told once more after the next start: a record too many, none too few
            log.warning("what is known of devices is not on disk", error=str(error), next="make room on this machine's disk")

    async def _submitted(self, journal: EventJournal, draft: Draft) -> bool:
        try:
            await journal.submit(draft)
        except BadDraft:
            raise
        except JournalRefused as error:
            if str(error) != self._refused:
                log.warning("an event is not in the journal yet", kind=draft.kind, reason=str(error))
            self._refused = str(error)
            return False
        self._refused = ""
        return True

    def _draft(self, view: DeviceView, event: DeviceEvent) -> Draft:
        told = diagnose(view.kind, view.status)
        body = {"device": view.name, "kind": view.kind, "state": event.state.value, "reasons": list(event.reasons),
                "identity": _identity(event.identity), "noticed_ms": self._clock.unix_ms(), "mender": told.mender.value,
                "diagnosis": told.chinese}
        if event.before is not None:
            body["before"] = _identity(event.before)
        return Draft(f"event:{uuid4()}", event.kind.value, _json(body), simulated=view.simulated)


def _identity(identity: DeviceIdentity | None) -> dict[str, str] | None:
    return asdict(identity) if identity else None


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _dump(told: dict[str, Known]) -> bytes:
    return json.dumps({name: asdict(known) for name, known in told.items()}, ensure_ascii=False, indent=1).encode()


def _read(one: dict[str, Any]) -> Known:
    return Known(Condition(one["condition"]), DeviceIdentity(**one["identity"]) if one["identity"] else None,
                 tuple(one["reasons"]), str(one.get("kind", "")), one.get("simulated") is True,
                 Lister(one.get("listed", "")))


def _load(path: Path) -> dict[str, Known]:
    """Nothing from a file that cannot be read: then each device is told as attached once more."""
    try:
        said = json.loads(path.read_bytes())
        return {str(name): _read(one) for name, one in said.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("what was known of devices cannot be read", file=str(path), error=str(error), next="nothing; it is told anew")
        return {}
