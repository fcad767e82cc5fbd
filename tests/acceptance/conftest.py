"""A real hub and a real agent as processes, each test with its own folder and ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.city import Hub, Machine


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Initialised, with one site and a published catalogue; not started."""
    hub = Hub(tmp_path)
    hub.init()
    hub.command("site", "add", "A01", "--name", "古魏镇服务所", "--kind", "office")
    hub.command("catalogue", "publish")
    yield hub
    if hub.service.running:
        hub.service.stop()


@pytest.fixture
def machine(tmp_path: Path, hub: Hub) -> Iterator[Machine]:
    """Enrolled at the started hub; not started itself."""
    hub.service.start()
    machine = Machine(tmp_path, hub, "A01", "窗口1")
    readers = tmp_path / "readers"
    readers.mkdir()
    machine.enrol("simulated", readers, {})
    yield machine
    if machine.service.running:
        machine.service.stop()
