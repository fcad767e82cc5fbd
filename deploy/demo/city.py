"""A hub and its machines in one folder, made with the commands only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.demo.line import Line
from deploy.demo.processes import Caller, DemoFailed, Service, command, free_port

WAIT_MAX_S = 60.0


class Hub:
    """`suozhan-hub` with private ports."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "hub"
        self.log = folder / "hub.log"
        self.work_port, self.enrol_port, self.api_port = free_port(), free_port(), free_port()
        self.service = Service("hub", self.state, self.log)
        self._root_key = folder / "root.key"

    def init(self) -> None:
        command("hub", self.state, "init", "--host", "127.0.0.1", "--listen", "127.0.0.1", "--root-key-out",
                str(self._root_key), "--work-port", str(self.work_port), "--enrol-port", str(self.enrol_port),
                "--api-port", str(self.api_port))

    def command(self, *arguments: str) -> str:
        return command("hub", self.state, *arguments)

    def reader(self) -> Caller:
        """A program of an upstream system."""
        scopes = [word for scope in ("feed", "records", "ledger", "edges", "metrics")
                  for word in ("--scope", f"{scope}:read")]
        token = self.command("token", "create", "upstream", *scopes)
        return Caller(f"https://127.0.0.1:{self.api_port}", token, self.state / "ca" / "root.pem")


class Machine:
    """`suozhan-edge` behind a line of its own."""

    def __init__(self, folder: Path, hub: Hub, site: str, name: str) -> None:
        self.site, self.name = site, name
        self.state = folder / site
        self.log = folder / f"{site}.log"
        self.line = Line(hub.work_port)
        self.door_port = free_port()
        self._hub = hub

    def enrol(self, wire: str, readers: Path, environment: Mapping[str, str], devices: str = "") -> None:
        command("edge", self.state, "enrol", self._hub.command("invite", self.site), "--machine", self.name)
        self.configure(wire, readers, environment, devices)

    def configure(self, wire: str, readers: Path, environment: Mapping[str, str], devices: str = "") -> None:
        """`devices` is a device list; what is read here is marked as simulated."""
        (self.state / "edge.toml").write_text(
            f'door_port = {self.door_port}\nhub_address = "127.0.0.1:{self.line.port}"\ndisk_reserve_bytes = 0\n'
            f'simulated = true\n[readers]\nwire = "{wire}"\nsimulated_folder = "{readers}"\n\n{devices}', encoding="utf-8")
        self.service = Service("edge", self.state, self.log, environment)

    def connect_to(self, port: int) -> None:
        """Let the agent call the hub at this port of loopback from its next start on."""
        path = self.state / "edge.toml"
        lines = path.read_text(encoding="utf-8").splitlines()
        lines = [f'hub_address = "127.0.0.1:{port}"' if line.startswith("hub_address") else line for line in lines]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def pair(self) -> None:
        """Get a token for the counter program."""
        code = command("edge", self.state, "pair", "--name", "demo")
        status, answer = Caller(self.base).call("POST", "/v1/pair", {"code": code})
        if status != 200:
            raise DemoFailed(f"pairing failed: {answer}")
        self.counter = Caller(self.base, answer["token"])

    def stop(self) -> None:
        """Its agent, if there is one."""
        if hasattr(self, "service"):
            self.service.stop()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.door_port}"

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.counter.call("GET", "/v1/state")[1]
        return answer

    def wait_for(self, what: str, **wanted: object) -> None:
        """Until the door says so. Raises DemoFailed."""
        until = time.monotonic() + WAIT_MAX_S
        while time.monotonic() < until:
            state = self.status()
            state["connected"] = state["line"]["state"] == "connected"
            if all(state[name] == value for name, value in wanted.items()):
                return
            time.sleep(0.1)
        raise DemoFailed(f"{self.name}: no {what} within {WAIT_MAX_S:.0f} s; read {self.log}")

    def read_card(self) -> dict[str, Any]:
        """Wait for the card that was put in, and read it."""
        until = time.monotonic() + WAIT_MAX_S
        while time.monotonic() < until:
            for reader in self.counter.call("GET", "/v1/readers")[1]["readers"]:
                if reader["card_present"] and self.site in reader["name"]:  # one pcscd serves both sites here
                    status, answer = self.counter.call("POST", f"/v1/readers/{quote(reader['name'])}/read")
                    if status == 200:
                        return dict(answer)
            time.sleep(0.05)
        raise DemoFailed(f"{self.name}: the card was not read within {WAIT_MAX_S:.0f} s; read {self.log}")
