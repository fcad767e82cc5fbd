"""Who may meet a fault, and what it does meanwhile: the edge, the hub, a backup. Each a small, fixed piece of work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.demo.processes import CHECKOUT, DemoFailed, Service
from edge.state import StateFolder
from hub.ledger.reader import LedgerReader
from hub.ledger.verify import LedgerCheck
from hub.state import HubState
from tests.soak.check import POLL_S, Broken, drained
from tests.soak.counter import Counter
from tests.soak.world import Environment, World

SUBMISSIONS = 6
GOES_ON_MAX_S = 90.0  # a line waits 20 s at most, and the fault may be in what it comes back with
STEP_S = 0.3
BACKUP_MAX_S = 60.0

Faulty = Callable[[Path], Environment]  # of a process whose calls below this folder are counted
Victim = Callable[[World, Counter, Faulty], str]  # says how it ended


def edge(world: World, counter: Counter, faulty: Faulty) -> str:
    """From its start, with a catalogue to keep, to its orderly end."""
    for resource in StateFolder(world.edge_state).resources.glob("*.resource"):
        resource.unlink()
    world.with_environment(edge=faulty(world.edge_disk))
    world.hub.start()
    return _lives(world, world.edge, counter)


def hub(world: World, counter: Counter, faulty: Faulty) -> str:
    """From its start, with a certificate to make, to its orderly end; the edge goes on trying."""
    for file in HubState(world.hub_state).tls.iterdir():
        file.unlink()
    world.with_environment(hub=faulty(world.hub_disk))
    world.edge.start()
    return _lives(world, world.hub, counter)


def backup(world: World, counter: Counter, faulty: Faulty) -> str:
    """`suozhan-hub backup` beside a hub that works. Whatever becomes of it: no mark stands behind what a copy holds."""
    world.start()
    _goes_on(world, world.hub, counter)
    target = world.folder / "backup.db"
    done = subprocess.run(
        [sys.executable, "-m", "hub.command", "--state", str(world.hub_state), "backup", str(target)], cwd=CHECKOUT, check=False,
        capture_output=True, text=True, env={**os.environ, **faulty(world.folder)}, timeout=BACKUP_MAX_S)
    if "Traceback" in done.stderr:
        raise Broken([f"the backup ended with a traceback: {done.stderr.strip().splitlines()[-1]}"])
    _holds_what_it_says(world, target, succeeded=done.returncode == 0)
    return "went on" if done.returncode == 0 else "said why it ended"


VICTIMS: dict[str, Victim] = {"edge": edge, "hub": hub, "backup": backup}


def _lives(world: World, service: Service, counter: Counter) -> str:
    log = world.folder / ("edge.log" if service is world.edge else "hub.log")
    try:
        service.start()
    except DemoFailed:
        if service.running:
            raise
    went_on = service.running and _goes_on(world, service, counter)
    text = log.read_text(encoding="utf-8", errors="replace")  # at its end gRPC writes of calls that it has cancelled
    service.stop()
    if "Traceback" in text:
        raise Broken([f"{log.stem} wrote a traceback: {text.strip().splitlines()[-1]}"])
    return "went on" if went_on else "said why it ended"


def _goes_on(world: World, service: Service, counter: Counter) -> bool:
    """Whether all submissions were answered and delivered; False when the process has ended. Raises Broken."""
    until = time.monotonic() + GOES_ON_MAX_S
    while service.running:
        if len(counter.said) < SUBMISSIONS:
            counter.submit(1, STEP_S)
        elif drained(world):
            return True
        if time.monotonic() > until:
            raise Broken([f"it lives and does not go on: {len(counter.said)} of {SUBMISSIONS} answered, {dict(counter.refused)}"])
        time.sleep(POLL_S)
    return False


def _holds_what_it_says(world: World, target: Path, *, succeeded: bool) -> None:
    held = dict.fromkeys(world.journals, 0)
    if succeeded or target.exists():
        with LedgerReader(target, readonly=True) as copy:
            if findings := list(LedgerCheck(copy).findings()):
                raise Broken([f"the backup does not verify: {findings[0].reason}"])
            held = {journal: copy.journal(journal).position for journal in held}
    with LedgerReader(world.hub_db, readonly=True) as ledger:
        marked = {journal: ledger.journal(journal).backed_up for journal in held}
    if beyond := [journal for journal in held if marked[journal] > held[journal]]:
        raise Broken([f"records up to {marked[one]} may be pruned, and the backup holds {held[one]}" for one in beyond])
