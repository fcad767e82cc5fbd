"""`init` may be killed anywhere: the same command then makes a hub whose root key somebody can open (invariant 11)."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from cryptography import x509

from deploy.demo.city import Hub
from deploy.demo.processes import CHECKOUT, DemoFailed, command
from hub.state import BadConfig, HubState
from security.certificates import load_key
from tests.hub.commands import command_here

# `init` makes them in this order; a round kills it soon after one of them is there.
MOMENTS = ["hub/hub.toml.unfinished", "hub/ca/root.pem", "hub/keys/sealing-1.key", "hub/.hub.db.new", "hub/hub.db",
           "root.key", "hub/hub.toml"]
LATER_MAX_S = 0.02
TRIES_MAX = 4
SITE = ("site", "add", "A01", "--name", "古魏镇服务所", "--kind", "office")


def _arguments(folder: Path) -> list[str]:
    hub = Hub(folder)
    return ["init", "--host", "127.0.0.1", "--listen", "127.0.0.1", "--root-key-out", str(folder / "root.key"),
            "--work-port", str(hub.work_port), "--enrol-port", str(hub.enrol_port), "--api-port", str(hub.api_port)]


def _killed(folder: Path, arguments: list[str], moment: str, later_s: float) -> str:
    """What an `init` printed that was killed so long after this file came to be."""
    process = subprocess.Popen([sys.executable, "-m", "hub.command", "--state", str(folder / "hub"), *arguments],
                               cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    while not (folder / moment).exists() and process.poll() is None:
        time.sleep(0.0005)
    time.sleep(later_s)
    process.kill()
    return process.communicate(timeout=60)[0]


def _opens(folder: Path, said: str) -> None:
    """The passphrase that was shown opens the key of this hub's root."""
    match = re.search(r"shown this once: (\S+)", said)
    assert match, said
    key = load_key((folder / "root.key").read_bytes(), match[1])
    root = x509.load_pem_x509_certificate((folder / "hub" / "ca" / "root.pem").read_bytes())
    assert key.public_key() == root.public_key()


@pytest.mark.timeout(240)
def test_init_killed_at_any_moment_is_repeated_and_no_root_key_is_lost(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")  # shown when the test fails
    random, unfinished = Random(seed), 0
    for number, moment in enumerate(MOMENTS * TRIES_MAX):
        if number >= len(MOMENTS) and unfinished > 2:
            break  # a machine that stands still may kill too late; then all moments come once more
        folder = tmp_path / str(number)
        folder.mkdir()
        arguments = _arguments(folder)
        said = _killed(folder, arguments, moment, random.uniform(0, LATER_MAX_S))
        if (folder / "hub" / "hub.toml").exists():
            with pytest.raises(DemoFailed, match="holds a hub already"):
                command_here(folder / "hub", *arguments)
        else:
            unfinished += 1
            with pytest.raises(BadConfig, match=r"no hub in .*; run:"):
                HubState(folder / "hub").config()
            said = command("hub", folder / "hub", *arguments)
        _opens(folder, said)
        command_here(folder / "hub", *SITE)
        assert not (folder / "hub" / "hub.toml.unfinished").exists()
    assert unfinished > 2, "too few kills hit an init: the test proved little"


def test_a_hub_whose_first_init_was_killed_starts_and_takes_sites(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    _killed(tmp_path, _arguments(tmp_path), "hub/keys/record.key", 0)
    hub.init()
    hub.service.start()
    try:
        assert "A01" in hub.command(*SITE)
    finally:
        assert hub.service.stop() == 0


@pytest.mark.parametrize("given", ["", "correct horse"])
def test_a_passphrase_that_was_made_is_shown_and_one_that_was_given_is_not(tmp_path: Path, given: str) -> None:
    said = command("hub", tmp_path / "hub", *_arguments(tmp_path), environment={"SUOZHAN_ROOT_PASSPHRASE": given})
    if given:
        assert "shown this once" not in said
        load_key((tmp_path / "root.key").read_bytes(), given)
    else:
        _opens(tmp_path, said)


@pytest.mark.parametrize("given", ["x" * 1_024, "\udcff", "two\nlines"])
def test_a_passphrase_that_cannot_be_one_is_refused_before_anything_is_made(tmp_path: Path, given: str) -> None:
    with pytest.raises(DemoFailed, match="nothing was made"):
        command("hub", tmp_path / "hub", *_arguments(tmp_path), environment={"SUOZHAN_ROOT_PASSPHRASE": given})
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize("name", ["hub.db", "hub.db-wal", "hub.toml", "hub.toml.unfinished", "keys/root.key", "ca/root.pem"])
def test_the_exported_root_key_takes_no_place_of_the_hub_s_own_files(tmp_path: Path, name: str) -> None:
    arguments = _arguments(tmp_path)
    arguments[arguments.index("--root-key-out") + 1] = str(tmp_path / "hub" / name)
    (tmp_path / "hub" / name).parent.mkdir(parents=True)
    with pytest.raises(DemoFailed, match=r"outside of|parts of a hub"):
        command_here(tmp_path / "hub", *arguments)


def test_a_passphrase_that_could_not_be_shown_is_the_root_of_no_hub(tmp_path: Path) -> None:
    arguments = _arguments(tmp_path)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "hub.command", "--state", str(tmp_path / "hub"), *arguments],
                              cwd=CHECKOUT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "root.key").exists()
    _opens(tmp_path, command("hub", tmp_path / "hub", *arguments))


def test_init_removes_nothing_that_it_did_not_make(tmp_path: Path) -> None:
    arguments = _arguments(tmp_path)
    (tmp_path / "root.key").write_text("the key of another hub")
    with pytest.raises(DemoFailed, match="exists already; name a new file"):
        command("hub", tmp_path / "hub", *arguments)
    _killed(tmp_path, [*arguments, "--root-key-out", str(tmp_path / "two.key")], "hub/keys/record.key", 0)
    with pytest.raises(DemoFailed, match="exists already; name a new file"):
        command("hub", tmp_path / "hub", *arguments)
    assert (tmp_path / "root.key").read_text() == "the key of another hub"
    (tmp_path / "root.key").unlink()
    command("hub", tmp_path / "hub", *arguments)
    keys = sorted((tmp_path / "hub" / "keys").iterdir())
    (tmp_path / "hub" / "hub.toml").unlink()
    with pytest.raises(DemoFailed, match=r"parts of a hub but no hub.toml; restore it"):
        command("hub", tmp_path / "hub", *arguments)
    assert sorted((tmp_path / "hub" / "keys").iterdir()) == keys


def test_init_killed_just_before_hub_toml_got_its_name_is_repeated(tmp_path: Path) -> None:
    """The narrowest moment: the root's key lies outside already, under the name that is asked for again."""
    arguments, hub = _arguments(tmp_path), tmp_path / "hub"
    lost = command("hub", hub, *arguments)
    (hub / "hub.toml").rename(hub / "hub.toml.unfinished")
    with pytest.raises(DemoFailed, match=r"no hub in .*; run:"):
        command("hub", hub, *SITE)
    said = command("hub", hub, *arguments)
    assert said != lost
    _opens(tmp_path, said)


def test_two_inits_do_not_clear_each_other_away(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    other = os.open(tmp_path / "hub", os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DemoFailed, match="another suozhan-hub"):
            command("hub", tmp_path / "hub", *_arguments(tmp_path))
    finally:
        os.close(other)
    assert list((tmp_path / "hub").iterdir()) == []
