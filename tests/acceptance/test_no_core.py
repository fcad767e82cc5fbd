"""What is in the memory of a service lies on no disk, however it ends."""

from __future__ import annotations

import psutil

from deploy.demo.city import Hub, Machine


def test_a_service_that_crashes_leaves_no_file_of_its_memory(hub: Hub, machine: Machine) -> None:
    machine.service.start()
    for service in (hub.service, machine.service):
        assert psutil.Process(service.pid).rlimit(psutil.RLIMIT_CORE) == (0, 0)
