"""One hub and one enrolled machine as real processes: made once as a template, copied for every round."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from uuid import UUID

from deploy.demo.city import Hub, Machine
from deploy.demo.processes import Caller, Service, free_port
from edge.identity import Identity, load_identity
from edge.state import BUSINESS, JournalFiles, StateFolder
from hub.state import HubState
from tests.bench.prefilled import prepare

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Ports:
    """A worker's own, kept for all of its rounds."""

    work: int
    enrol: int
    api: int
    door: int
    between: int  # a line in front of the hub

    @classmethod
    def free(cls) -> Ports:
        return cls(*[free_port() for _ in range(5)])


class Template:
    """State folders of a hub and a machine that is paired and holds a catalogue; nothing runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = ""

    def make(self) -> None:
        hub, machine = prepare(self.folder)
        self.hub, self.edge = hub.state, machine.state
        try:
            self._warm_up(hub, machine)
        finally:
            machine.stop()
            hub.service.stop()

    def _warm_up(self, hub: Hub, machine: Machine) -> None:
        hub.service.start()
        machine.service.start()
        code = re.sub(r"\D", "", self._code(machine))
        status, answer = Caller(machine.base).call("POST", "/v1/pair", {"code": code})
        assert status == 200, answer
        self.token = answer["token"]
        machine.counter = Caller(machine.base, self.token)
        machine.wait_for("catalogue", connected=True, catalogue=True)

    @staticmethod
    def _code(machine: Machine) -> str:
        from deploy.demo.processes import command

        return command("edge", machine.state, "pair", "--name", "soak")


class World:
    """`with World(template, folder, ports) as world:` copies the template; whatever runs at the end is killed.

    `hub_disk` and `edge_disk` are the folders in which the state folders lie; a campaign may mount something there first.
    """

    def __init__(self, template: Template, folder: Path, ports: Ports) -> None:
        self.template, self.folder, self.ports = template, folder, ports
        self.hub_disk, self.edge_disk = folder / "hub-disk", folder / "edge-disk"
        self.hub_state, self.edge_state = self.hub_disk / "hub", self.edge_disk / "edge"
        self.hub = Service("hub", self.hub_state, folder / "hub.log")
        self.edge = Service("edge", self.edge_state, folder / "edge.log")

    def __enter__(self) -> World:
        self.hub_disk.mkdir(parents=True, exist_ok=True)
        self.edge_disk.mkdir(exist_ok=True)
        (self.folder / "readers").mkdir(exist_ok=True)
        shutil.copytree(self.template.hub, self.hub_state)
        shutil.copytree(self.template.edge, self.edge_state)
        self._give_ports()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for service in (self.edge, self.hub):
            if service.running:
                service.kill()

    def _give_ports(self) -> None:
        ports = {"work": self.ports.work, "enrol": self.ports.enrol, "api": self.ports.api}
        let_listen(self.hub_state, ports)
        let_call(self.edge_state, ports)
        self.connect_edge_to(self.ports.work)

    def connect_edge_to(self, port: int) -> None:
        """Let the agent call this port of loopback from its next start on."""
        (self.edge_state / "edge.toml").write_text(
            f'door_port = {self.ports.door}\nhub_address = "127.0.0.1:{port}"\ndisk_reserve_bytes = 0\n'
            f'[readers]\nwire = "simulated"\nsimulated_folder = "{self.folder / "readers"}"\n', encoding="utf-8")

    def with_environment(self, hub: Environment | None = None, edge: Environment | None = None) -> None:
        """For the next starts; both must be stopped."""
        self.hub = Service("hub", self.hub_state, self.folder / "hub.log", hub)
        self.edge = Service("edge", self.edge_state, self.folder / "edge.log", edge)

    def start(self) -> None:
        """What does not run, both at once."""
        together([service.start for service in (self.hub, self.edge) if not service.running])

    def stop(self) -> None:
        """In order. Raises TimeoutExpired."""
        together([service.stop for service in (self.edge, self.hub)])

    def caller(self) -> Caller:
        return Caller(f"http://127.0.0.1:{self.ports.door}", self.template.token)

    @property
    def identity(self) -> Identity:
        return load_identity(StateFolder(self.edge_state).current.identity)

    @property
    def journal(self) -> UUID:
        """What counters say."""
        return self.identity.journals[BUSINESS]

    @property
    def journal_db(self) -> Path:
        return self.journals[self.journal]

    @property
    def journals(self) -> dict[UUID, Path]:
        """All of the machine's newest identity, business first."""
        folder = StateFolder(self.edge_state).current
        return {journal: JournalFiles(folder, name).db for name, journal in self.identity.journals.items()}

    @property
    def hub_db(self) -> Path:
        return HubState(self.hub_state).database


def let_listen(hub: Path, ports: Mapping[str, int]) -> None:
    """A copied hub on ports of its own, by the words "work", "enrol" and "api"."""
    config = hub / "hub.toml"
    text = config.read_text(encoding="utf-8")
    for name, port in ports.items():
        text = re.sub(rf"{name}_port = \d+", f"{name}_port = {port}", text)
    config.write_text(text, encoding="utf-8")


def let_call(edge: Path, ports: Mapping[str, int]) -> None:
    """A copied machine, the hub on these ports."""
    identity = StateFolder(edge).identity
    text = identity.read_text(encoding="utf-8")
    for name, port in ports.items():
        text = re.sub(rf'("{name}_address": "[^"]*:)\d+"', rf'\g<1>{port}"', text)
    identity.write_text(text, encoding="utf-8")


def together(steps: list[Callable[[], object]]) -> None:
    """All at once, to the end; raises what the first of them raised."""
    with ThreadPoolExecutor(max(len(steps), 1)) as threads:
        for done in [threads.submit(step) for step in steps]:
            done.result()
