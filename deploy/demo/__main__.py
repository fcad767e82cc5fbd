"""The story of the demo, step by step."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.demo.city import Hub, Machine
from deploy.demo.office import Equipment, use
from deploy.demo.processes import CHECKOUT, DemoFailed, verified
from deploy.demo.signposts import after_the_story, while_it_stays
from devices.id_number import id_check
from devices.simulated.card import CardText
from devices.simulated.folder import ReaderFolder
from devices.simulated.pcscd import VirtualReaders, VirtualReadersError

FOLDER = CHECKOUT / "build" / "demo"
LOCK = FOLDER.with_suffix(".lock")
SITES = (("A01", "古魏镇服务所", "office"), ("B07", "令花村服务站", "station"))
PEOPLE = (("王秀英", "140830195603120029"), ("李建国", "140830194911020015"), ("张桂兰", "140830196007080062"),
          ("赵玉梅", "140830197202140047"), ("刘志强", "140830198509300037"), ("陈红霞", "140830199001010045"))
ITEMS = (("003-21", ["resident-id-card", "eligibility-commitment"]), ("003-01", ["resident-id-card"]),
         ("003-38", ["resident-id-card", "social-security-card"]), ("003-28", ["resident-id-card", "household-register"]))
STEPS = 11
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ENDED = 130  # as shells say it of Ctrl-C
Insert = Callable[[str, str, str], None]


@dataclass(frozen=True)
class Handled:
    site: str
    caller_id: str
    item: str
    position: int
    record: str
    queued_ms: int
    line_up: bool


class Story:
    """What is told on the way, and what was handled."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._step = 0
        self.handled: list[Handled] = []

    def step(self, text: str) -> None:
        self._step += 1
        done = "■" * self._step + "□" * (STEPS - self._step)
        print(f"\n{done} [{self._step}/{STEPS}] {time.monotonic() - self._began:5.1f} s  {text}", flush=True)

    def skip(self) -> None:
        """A step that this machine lacks something for."""
        self._step += 1

    def tell(self, text: str) -> None:
        print(f"    {text}", flush=True)

    def submit(self, machine: Machine, body: dict[str, Any], *, line_up: bool) -> None:
        status, answer = machine.counter.call("POST", "/v1/transactions", body)
        if status not in {200, 201}:
            raise DemoFailed(f"{machine.name} refused {body['id']}: {answer}")
        self.tell(f"{machine.site} {body['id']} {body['item']} → position {answer['position']}, {answer['state']}"
                  + (" (said again; stored once)" if status == 200 else ""))
        if status == 201:
            self.handled.append(Handled(machine.site, body["id"], body["item"], answer["position"], answer["record"],
                                        int(time.time() * 1000), line_up))


def _id_number(number: str) -> str:
    """With the right check digit (GB 11643)."""
    return number[:17] + id_check(number[:17])


@contextmanager
def _readers(story: Story) -> Iterator[tuple[str, Path, dict[str, str], Insert]]:
    """The wire, its folder, what the agents need in their environment, and a hand that puts cards in."""
    folder = FOLDER / "readers"
    names = [f"Suozhan Virtual {site}" for site, _, _ in SITES]
    try:
        import smartcard.scard  # noqa: F401, PLC0415 - only to know whether it is there

        virtual = VirtualReaders(folder, names)
        with virtual:
            story.tell("a private pcscd runs with two virtual readers; the agents talk to it through real PC/SC")

            def insert(site: str, name: str, number: str) -> None:
                virtual.insert(f"Suozhan Virtual {site}", CardText(name=name, id_number=number))

            yield "pcsc", folder, dict(virtual.environment), insert
    except (VirtualReadersError, ImportError) as error:
        story.tell(f"no real PC/SC here ({error}); going on with the simulated wire")
        folder.mkdir(parents=True, exist_ok=True)
        for site, _, _ in SITES:
            (folder / site).mkdir(exist_ok=True)
            ReaderFolder(folder / site).plug(f"Suozhan Simulated {site}")

        def insert_file(site: str, name: str, number: str) -> None:
            ReaderFolder(folder / site).insert(f"Suozhan Simulated {site}", f'name = "{name}"\nid_number = "{number}"\n')

        yield "simulated", folder, {}, insert_file


def _visit(story: Story, machine: Machine, insert: Insert, number: int, *, line_up: bool) -> dict[str, Any]:
    """A resident comes, puts in the card, and one item is handled. Returns what the counter program said."""
    name, id_number = PEOPLE[number % len(PEOPLE)][0], _id_number(PEOPLE[number % len(PEOPLE)][1])
    insert(machine.site, name, id_number)
    reading = machine.read_card()
    while reading["card"]["id_number"] != id_number:  # the card before, seen once more
        reading = machine.read_card()
    item, documents = ITEMS[number % len(ITEMS)]
    body = {"id": f"{machine.site}-{number:03}", "item": item, "channel": "counter", "operator": "李芳",
            "resident": {"name": reading["card"]["name"], "id_number": reading["card"]["id_number"]},
            "documents": documents, "readings": [reading["id"]]}
    story.submit(machine, body, line_up=line_up)
    return body


def tell_the_story(story: Story, *, stay: bool) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with ExitStack() as city:  # whatever of it runs is stopped, however the story ends
        hub = Hub(FOLDER)
        city.callback(hub.service.stop)
        story.step("The city's hub: CA, keys, database, catalogue of 40 service items")
        hub.init()
        for code, name, kind in SITES:
            hub.command("site", "add", code, "--name", name, "--kind", kind, "--county", "芮城县")
        hub.command("catalogue", "publish")
        story.tell(f"hub ready after {hub.service.start():.1f} s")

        story.step("Card readers, and the other equipment of an office")
        wire, folder, environment, insert = city.enter_context(_readers(story))
        equipment = city.enter_context(Equipment(FOLDER / "equipment"))
        story.tell("ID card reader, scanner, fingerprint reader, document scanner and printer: real drivers, played devices"
                   if equipment.there else f"no other equipment here ({equipment.why}); going on with card readers")
        machines = [Machine(FOLDER, hub, code, name) for code, name, _ in SITES]
        for machine in machines:
            city.callback(machine.stop)
        _enrol(story, machines, (wire, folder, environment), equipment)
        if equipment.there:
            story.step("The office tries its equipment")
            use(story.tell, machines[0], equipment)
        else:
            story.skip()
        _work(story, hub, machines, insert)
        _account(story, hub, machines)
        print(after_the_story(machines[-1]))
        if stay:
            print(while_it_stays(hub, machines), flush=True)
            while True:
                signal.pause()
        print("      with it left running     make demo ARGS=--stay")


def _enrol(story: Story, machines: list[Machine], readers: tuple[str, Path, dict[str, str]], equipment: Equipment) -> None:
    wire, folder, environment = readers
    story.step("Enrolling an office and a station by one-time invitations")
    for machine, played in zip(machines, (equipment.device_list, ""), strict=True):
        machine.enrol(wire, folder / machine.site if wire == "simulated" else folder, environment | equipment.environment, played)
        seconds = machine.service.start()
        machine.pair()
        machine.wait_for("connection", connected=True, catalogue=True)
        story.tell(f"{machine.site} {machine.name} enrolled, ready after {seconds:.1f} s, catalogue applied")


def _work(story: Story, hub: Hub, machines: list[Machine], insert: Insert) -> None:
    office, station = machines
    story.step("Residents come; cards are read, items handled")
    for number in range(3):
        _visit(story, office, insert, number, line_up=True)
        _visit(story, station, insert, number, line_up=True)

    story.step("The station's line is cut; the counter goes on")
    station.line.cut()
    station.wait_for("notice of the cut", connected=False)
    for number in range(3, 7):
        _visit(story, station, insert, number, line_up=False)

    story.step("The station's agent is killed in the middle of its work (SIGKILL), and started again")
    body = _visit(story, station, insert, 7, line_up=False)
    station.service.kill()
    story.tell(f"started again after {station.service.start():.1f} s, without a line")
    story.submit(station, body, line_up=False)  # the counter never saw the answer: it says it again
    _visit(story, station, insert, 8, line_up=False)
    story.tell(f"{station.status()['queued']} records wait in the station's journal; the office works on:")
    _visit(story, office, insert, 3, line_up=True)

    story.step("The line is back")
    began = time.monotonic()
    station.line.restore()
    for machine in machines:
        machine.wait_for("empty queue", connected=True, queued=0)
    story.tell(f"everything is in the ledger {time.monotonic() - began:.1f} s later")

    story.step("Backup and check of the ledger")
    story.tell(hub.command("backup", str(FOLDER / "backup.db")).replace(str(CHECKOUT) + "/", ""))
    story.tell(hub.command("verify"))

    story.step("Evidence for somebody who has neither hub nor machine")
    _hand_out(story, hub)


def _hand_out(story: Story, hub: Hub) -> None:
    """An honest file, and the same with one changed byte."""
    bundle = FOLDER / "evidence.bundle"
    hub.command("export", str(bundle), "--site", "A01", "--by", "周敏", "--reason", "demo")
    honest, report = verified(bundle)
    story.tell(f"suozhan-verify: {report.splitlines()[0]}")
    changed = bytearray(bundle.read_bytes())
    changed[len(changed) // 2] ^= 1
    (FOLDER / "changed.bundle").write_bytes(changed)
    forged, report = verified(FOLDER / "changed.bundle")
    story.tell(f"one byte changed:  {report.splitlines()[0]}")
    if not honest or forged:
        raise DemoFailed("the verifier does not tell an honest file from a changed one; keep build/demo and report this")


def _account(story: Story, hub: Hub, machines: list[Machine]) -> None:
    story.step("The account")
    upstream = hub.reader()
    _, feed = upstream.call("GET", "/v1/feed?limit=1000")
    by_journal: dict[str, list[int]] = {}
    for entry in feed["entries"]:
        by_journal.setdefault(entry["journal"], []).append(entry["position"])
    in_order = all(positions == list(range(1, len(positions) + 1)) for positions in by_journal.values())
    rows = _ledger_rows(upstream, machines, len(story.handled))
    print(f"\n    {'site':<5}{'id':<9}{'item':<8}{'position':>8}  {'queued':<10}{'in the ledger':<15}{'after':>9}  line")
    wrong = 0
    for one in story.handled:
        found = [row for row in rows if row["record"] == one.record]
        wrong += len(found) != 1 or found[0]["position"] != one.position
        arrived = found[0]["arrived_ms"] if found else 0
        print(f"    {one.site:<5}{one.caller_id:<9}{one.item:<8}{one.position:>8}  {_clock(one.queued_ms):<10}"
              f"{_clock(arrived):<15}{max(arrived - one.queued_ms, 0) / 1000:>7.1f} s  {'up' if one.line_up else 'cut'}")
    extra = len(rows) - len(story.handled)
    print(f"\n    {len(story.handled)} transactions handled, {len(rows)} in the ledger: "
          f"{wrong} missing or double, {extra} too many; every journal in order: {'yes' if in_order else 'NO'}")
    if wrong or extra or not in_order:
        raise DemoFailed("the ledger is not what was handled; keep build/demo and report this")


def _ledger_rows(upstream: Any, machines: list[Machine], expected: int) -> list[dict[str, Any]]:
    """The site ledgers, once the projection has caught up."""
    for _ in range(100):
        rows = [row for one in machines
                for row in upstream.call("GET", f"/v1/sites/{one.site}/ledger?limit=1000")[1]["rows"]]
        if len(rows) >= expected:
            break
        time.sleep(0.1)
    return rows


def _clock(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000).strftime("%H:%M:%S")  # noqa: DTZ006 - for the eyes of who sits here


@contextmanager
def _alone() -> Iterator[None]:
    """One demo a checkout: a second one would clear away the city of the first. However it ends, its lock ends with it."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("A demo is running here; end it with Ctrl-C first.") from None
        yield


def _end(_number: int, _frame: object) -> None:
    for number in ENDINGS:  # said again, it does not break off the stopping of what runs
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="One city in two minutes.")
    parser.add_argument("--stay", action="store_true", help="leave it running until Ctrl-C")
    options = parser.parse_args()
    os.environ.pop("SUOZHAN_ROOT_PASSPHRASE", None)
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _end)
    try:
        with _alone():
            tell_the_story(Story(), stay=options.stay)
    except DemoFailed as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be closed
            print("\nThe demo was ended; nothing of it runs any more.", file=sys.stderr, flush=True)
        return ENDED
    return 0


if __name__ == "__main__":
    sys.exit(main())
