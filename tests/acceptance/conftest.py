"""A real hub and a real agent as processes, each test with its own folder and ports: copies of what is made once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.city import Hub, Machine
from tests.soak.world import let_call, let_listen


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """Initialised, with one site and a published catalogue."""
    hub = Hub(tmp_path_factory.mktemp("founded"))
    hub.init()
    hub.command("site", "add", "A01", "--name", "古魏镇服务所", "--kind", "office")
    hub.command("catalogue", "publish")
    return hub


@pytest.fixture(scope="session")
def enrolled(founded: Hub, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A hub like that with a machine; both stopped."""
    folder = tmp_path_factory.mktemp("enrolled")
    hub = Hub(folder)
    _copy(founded, hub)
    hub.service.start()
    machine = Machine(folder, hub, "A01", "窗口1")
    machine.enrol("simulated", folder, {})
    hub.service.stop()
    return machine


def _copy(hub: Hub, copy: Hub) -> None:
    shutil.copytree(hub.state, copy.state)
    shutil.copy(hub.state.parent / "root.key", copy.state.parent)
    let_listen(copy.state, _ports(copy))


def _ports(hub: Hub) -> dict[str, int]:
    return {"work": hub.work_port, "enrol": hub.enrol_port, "api": hub.api_port}


@pytest.fixture
def hub(founded: Hub, tmp_path: Path) -> Iterator[Hub]:
    """Initialised, with one site and a published catalogue; not started."""
    hub = Hub(tmp_path)
    _copy(founded, hub)
    yield hub
    if hub.service.running:
        hub.service.stop()


@pytest.fixture
def machine(tmp_path: Path, hub: Hub, enrolled: Machine) -> Iterator[Machine]:
    """Enrolled at the hub, which is started; not started itself."""
    shutil.rmtree(hub.state)
    shutil.copytree(enrolled.state.parent / "hub", hub.state)
    let_listen(hub.state, _ports(hub))
    machine = Machine(tmp_path, hub, "A01", "窗口1")
    shutil.copytree(enrolled.state, machine.state)
    let_call(machine.state, _ports(hub))
    readers = tmp_path / "readers"
    readers.mkdir()
    machine.configure("simulated", readers, {})
    hub.service.start()
    yield machine
    if machine.service.running:
        machine.service.stop()
