"""Where things lie in the folder of one machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BUSINESS = "business"
EVENTS = "events"
SUCCESSORS = "successors"


@dataclass(frozen=True)
class JournalFiles:
    """One journal of one identity. Paths only."""

    folder: IdentityFolder
    name: str

    def _at(self, ending: str) -> Path:
        return self.folder.root / "journals" / f"{self.name}.{ending}"

    @property
    def db(self) -> Path:
        return self._at("db")

    @property
    def id(self) -> Path:
        """Chosen before enrolment, so that asking again asks for the same."""
        return self._at("id")

    @property
    def checked(self) -> Path:
        """How far the check in idle time has come."""
        return self._at("checked")

    @property
    def held(self) -> Path:
        """What the hub said of the journal before this one when it admitted this identity."""
        return self._at("held")

    @property
    def carried(self) -> Path:
        """What became of the journal before this one; absent until all of it is settled."""
        return self._at("carried")


@dataclass(frozen=True)
class IdentityFolder:
    """One identity of the machine: keys, certificates, journals. Paths only, but for `make`."""

    root: Path

    @property
    def identity(self) -> Path:
        return self.root / "identity.json"

    @property
    def tls_key(self) -> Path:
        return self.root / "keys" / "tls.key"

    @property
    def record_key(self) -> Path:
        return self.root / "keys" / "record.key"

    @property
    def csr(self) -> Path:
        return self.root / "keys" / "tls.csr"

    @property
    def tls_pair(self) -> Path:
        """Key and certificate of the newest renewal; absent before the first."""
        return self.root / "keys" / "tls.pem"

    @property
    def tls_next(self) -> Path:
        """Key and request of a renewal that is not finished."""
        return self.root / "keys" / "tls.next"

    @property
    def journals(self) -> tuple[JournalFiles, ...]:
        """The first has the line before the others."""
        return (self.business, self.events)

    @property
    def business(self) -> JournalFiles:
        """What counters say."""
        return JournalFiles(self, BUSINESS)

    @property
    def events(self) -> JournalFiles:
        """What devices do, and what the agent itself notes."""
        return JournalFiles(self, EVENTS)

    @property
    def succession(self) -> Path:
        """Which identity this one follows, and why; absent for the first."""
        return self.root / "succession.json"

    @property
    def before(self) -> IdentityFolder | None:
        """The identity that this one follows, by where it lies; None for the first."""
        if self.root.parent.name != SUCCESSORS or not self.root.name.isdecimal():
            return None
        number = int(self.root.name) - 1
        return IdentityFolder(self.root.parent.parent if number == 1 else self.root.parent / str(number))

    @property
    def known(self) -> Path:
        """Callers' ids of the business journals before this one."""
        return self.root / "journals" / "known.db"

    def make(self) -> None:
        for folder in (self.root, self.root / "keys", self.root / "journals"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True)
class StateFolder(IdentityFolder):
    """The machine's folder: what is the machine's, and its first identity. Later ones lie in `successors`, numbered from 2."""

    @property
    def successors(self) -> Path:
        return self.root / SUCCESSORS

    def identities(self) -> list[IdentityFolder]:
        """All that were begun, the newest last."""
        numbers = sorted(int(one.name) for one in self.successors.glob("[0-9]*") if one.name.isdecimal())
        return [self, *(IdentityFolder(self.successors / str(number)) for number in numbers)]

    @property
    def current(self) -> IdentityFolder:
        """The one that the machine works with."""
        return self.identities()[-1]

    @property
    def config(self) -> Path:
        return self.root / "edge.toml"

    @property
    def devices(self) -> Path:
        """What was last told of each device."""
        return self.root / "devices.json"

    @property
    def diagnosis(self) -> Path:
        """What the agent last found out about the line to the hub."""
        return self.root / "diagnosis.json"

    @property
    def resources(self) -> Path:
        return self.root / "resources"

    @property
    def door(self) -> Path:
        return self.root / "door.db"

    @property
    def attachments(self) -> Path:
        """Sealed scans and photos that are to be uploaded."""
        return self.root / "attachments"

    @property
    def alarms(self) -> Path:
        return self.root / "alarms"

    @property
    def lock(self) -> Path:
        return self.root / "agent.lock"

    def make(self) -> None:
        super().make()
        self.resources.mkdir(mode=0o700, exist_ok=True)
