"""What `suozhan-hub` says to a person who types something that cannot be."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.demo.city import Hub
from deploy.demo.processes import DemoFailed
from hub.keys import create_keys
from hub.ledger.own_journal import OwnJournal
from hub.state import BadConfig, HubState
from security.clock import SystemClock
from security.signer import BadKey, Ed25519Signer
from tests.hub.commands import command_here
from tests.soak.world import let_listen
from tests.spine import damage


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    hub = Hub(tmp_path_factory.mktemp("founded"))
    hub.init()
    return hub


@pytest.fixture
def hub(tmp_path: Path, founded: Hub) -> Hub:
    hub = Hub(tmp_path)
    shutil.copytree(founded.state, hub.state)
    let_listen(hub.state, {"work": hub.work_port, "enrol": hub.enrol_port, "api": hub.api_port})
    return hub


def _refusal(hub: Hub, *arguments: str) -> str:
    """Without a traceback."""
    with pytest.raises(DemoFailed) as caught:
        command_here(hub.state, *arguments)
    text = str(caught.value)
    assert "Traceback" not in text
    return text


def test_a_token_ends_within_a_hundred_years_and_the_list_survives_one_that_does_not(hub: Hub) -> None:
    for days in ("36501", "999999999999999", "-1"):
        assert "--days" in _refusal(hub, "token", "create", "t", "--scope", "feed:read", "--days", days)
    command_here(hub.state, "token", "create", "a-hundred-years", "--scope", "feed:read", "--days", "36500")
    command_here(hub.state, "token", "create", "for-ever", "--scope", "feed:read", "--days", "0")
    command_here(hub.state, "token", "create", "old", "--scope", "feed:read")
    with closing(sqlite3.connect(hub.state / "hub.db", isolation_level=None)) as db:
        db.execute("UPDATE api_tokens SET expires_ms = 8641760000000000000 WHERE name = 'old'")
    ends = {line.split("\t")[1]: line.split("\t")[3] for line in command_here(hub.state, "token", "list").splitlines()}
    assert ends["for-ever"] == ends["old"] == "ends never"
    assert ends["a-hundred-years"].startswith("ends 21")


def test_a_catalogue_that_is_a_folder_or_absent_is_one_line(hub: Hub, tmp_path: Path) -> None:
    refusal = _refusal(hub, "catalogue", "publish", str(tmp_path))
    assert f"{tmp_path}: Is a directory; a folder lies where a file belongs" in refusal
    assert "nowhere.toml is not there; check the name" in _refusal(hub, "catalogue", "publish", str(tmp_path / "nowhere.toml"))


@pytest.mark.parametrize("host", ["", "中心 x", "a b", "hub.example.", "-hub", "a" * 64, "10.0.0.256", "fe80::1%eth0",
                                  "hub:7443", "https://hub", ".".join(["a" * 60] * 5)])
def test_a_host_that_no_certificate_can_hold_is_refused_at_init(tmp_path: Path, host: str) -> None:
    with pytest.raises(DemoFailed, match=r"hub: hosts\.1: .* is no DNS name or IP address; write such as hub\.example") as caught:
        command_here(tmp_path / "hub", "init", "--host", "hub", "--host", host, "--root-key-out", str(tmp_path / "key"))
    assert "Traceback" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_ports_and_the_address_to_listen_on_are_checked_at_init(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match=r"hub: listen: .*; work_port: .* less than or equal to 65535$"):
        command_here(tmp_path / "hub", "init", "--host", "hub", "--listen", "no where", "--work-port", "99999",
                "--root-key-out", str(tmp_path / "key"))
    assert list(tmp_path.iterdir()) == []


def test_the_life_of_a_machines_certificate_has_sane_bounds(hub: Hub) -> None:
    config = hub.state / "hub.toml"
    text = config.read_text(encoding="utf-8")
    assert "edge_certificate_hours = 720" in text
    for hours in ("1", "100000"):
        config.write_text(text.replace("= 720", f"= {hours}"), encoding="utf-8")
        assert f"{config}: edge_certificate_hours: " in _refusal(hub, "run")


def test_revoking_needs_a_machine_a_name_and_a_reason(hub: Hub) -> None:
    by = ("--by", "李芳", "--reason", "stolen")
    assert "no machine's id" in _refusal(hub, "revoke", "A01", *by)
    assert "there is no machine" in _refusal(hub, "revoke", str(uuid4()), *by)
    assert "--reason" in _refusal(hub, "revoke", str(uuid4()), "--by", "李芳")


def test_certificates_are_listed_and_the_hubs_is_made_anew(hub: Hub) -> None:
    assert command_here(hub.state, "certificate", "list") == ""
    hub.service.start()
    before = (hub.state / "tls" / "server.pem").read_bytes()
    assert "a running hub takes it" in command_here(hub.state, "certificate", "renew")
    assert (hub.state / "tls" / "server.pem").read_bytes() != before
    assert hub.service.stop() == 0


def test_hosts_that_are_accepted_get_a_certificate(hub: Hub) -> None:
    config = hub.state / "hub.toml"
    hosts = '"127.0.0.1", "::1", "hub", "hub_1.example", "xn--fiq228c.example", "3com.com"'
    config.write_text(config.read_text(encoding="utf-8").replace('"127.0.0.1"', hosts, 1), encoding="utf-8")
    hub.service.start()
    assert hub.service.stop() == 0


def test_a_host_that_was_written_into_hub_toml_is_one_line(hub: Hub) -> None:
    config = hub.state / "hub.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('"127.0.0.1"', '"中心 x"', 1), encoding="utf-8")
    assert f"{config}: hosts.0: '中心 x' is no DNS name or IP address" in _refusal(hub, "run")


@pytest.mark.parametrize("name", ["x\ty\x1b[31m", "所\n站", "a\u202eb", "长" * 129])
def test_names_that_would_forge_a_list_are_refused(hub: Hub, name: str) -> None:
    good = ("--kind", "office")
    for arguments in (("site", "add", "A01", "--name", name, *good),
                      ("site", "add", "A01", "--name", "所", "--county", name, *good),
                      ("site", "add", name, "--name", "所", *good),
                      ("token", "create", name, "--scope", "feed:read")):
        text = _refusal(hub, *arguments).removeprefix(f"hub {' '.join(arguments[:2])}")
        assert text.isprintable()
        assert "control characters" in text or "more than 128" in text or "no site code" in text
    assert command_here(hub.state, "site", "list") == command_here(hub.state, "token", "list") == ""
    command_here(hub.state, "site", "add", "A01", "--name", "古" * 128, *good)


def test_findings_are_listed_with_their_places_the_newest_last(hub: Hub) -> None:
    assert command_here(hub.state, "findings") == "No findings."
    with closing(sqlite3.connect(hub.state / "hub.db", isolation_level=None)) as db:
        for number in range(1, 4):
            db.execute("INSERT INTO audit_findings VALUES (NULL, ?, 'j', 7, 'bad', 0)", (number,))
        db.execute("INSERT INTO projection_findings (cursor, edge, journal, position, reason) VALUES (9, '', '', 0, 'no sense')")
    assert command_here(hub.state, "findings", "--last", "2").splitlines() == [
        "audit\t1970-01-01 00:00:00+00:00\tcursor 2\tjournal j\tposition 7\tbad",
        "audit\t1970-01-01 00:00:00+00:00\tcursor 3\tjournal j\tposition 7\tbad",
        "not shown\t-\tcursor 9\tjournal ?\tposition ?\tno sense",
        "2 findings of the audit, 1 records that are not shown."]


@pytest.mark.parametrize("command", [("alarms",), ("approvals", "approve", "1", "--by", "a", "--reason", "b"),
                                     ("verify", "--mend-tiles")])
def test_a_log_key_that_is_gone_is_not_made_anew_once_it_has_signed(hub: Hub, command: tuple[str, ...]) -> None:
    """Machines know it and take no other; a new one would look like two histories to the whole city."""
    key = hub.state / "keys" / "log.key"
    key.unlink()
    (hub.state / "high-water.note").write_text("signed\n", encoding="utf-8")
    assert "log.key is gone, and this hub has signed with it; put it back from a copy" in _refusal(hub, *command)
    assert not key.exists()


def test_verify_checks_what_it_can_without_the_log_key_and_names_the_key(hub: Hub, tmp_path: Path) -> None:
    """Whoever looks for what else a bad disk took is told all of it at once."""
    shutil.copy(hub.state / "hub.db", tmp_path / "backup.db")
    (hub.state / "keys" / "log.key").unlink()
    (hub.state / "high-water.note").write_text("signed\n", encoding="utf-8")
    for file in ((), (str(tmp_path / "backup.db"),)):
        said = _refusal(hub, "verify", *file)
        assert "keys/log.key: " in said
        assert "log.key is gone, and this hub has signed with it; put it back from a copy" in said
        assert "entries checked, 1 findings, 1 of them damage." in said
        assert "verify again once the key is back" in said
    damage(hub.state / "hub.db", "UPDATE ledger_head SET size = size + 1")
    said = _refusal(hub, "verify")
    assert "keys/log.key: " in said
    assert "1 findings" not in said
    assert "suozhan-hub restore" not in said  # perhaps the key is all that is lost


def test_a_key_that_is_gone_is_named_with_what_to_do(hub: Hub) -> None:
    (hub.state / "keys" / "record.key").unlink()
    assert "record.key is not there; check the name, or put it back from a copy" in _refusal(hub, "run")


@pytest.mark.parametrize("name", ["record.key", "resource.key", "time.key", "log.key", "sealing-1.key"])
def test_a_key_of_another_hub_is_named_before_anything_is_signed_with_it(hub: Hub, tmp_path: Path, name: str) -> None:
    """32 good bytes: what they sign would be damage in the ledger for ever."""
    create_keys(_folder(tmp_path / "another"))
    shutil.copy(tmp_path / "another" / name, hub.state / "keys" / name)
    before = (hub.state / "hub.db").read_bytes()
    for command in (("run",), ("catalogue", "publish"), ("restore", str(tmp_path), "--by", "a", "--reason", "b")):
        said = _refusal(hub, *command)
        assert f"keys/{name}: it is not the key that this hub has used" in said
        assert "put the right one back from a copy" in said
    assert (hub.state / "hub.db").read_bytes() == before
    said = _refusal(hub, "verify")
    assert f"keys/{name}: it is not the key" in said
    assert "suozhan-hub restore" not in said
    assert ", 1 findings, 1 of them damage" in said


@pytest.mark.parametrize(("name", "whose"), [("record.key", "the hub's own journal"), ("log.key", "signed neither the epochs")])
def test_another_hubs_whole_folder_of_keys_is_found_out_by_the_database(
        hub: Hub, tmp_path: Path, name: str, whose: str) -> None:
    hub.service.start()
    assert hub.service.stop() == 0  # it has signed
    create_keys(_folder(tmp_path / "another"))
    shutil.copy(tmp_path / "another" / name, hub.state / "keys" / name)
    (hub.state / "keys" / "public.json").unlink()
    for command in ("run", "verify"):
        said = _refusal(hub, command)
        assert f"keys/{name}: " in said
        assert whose in said
        assert "put the right one back from a copy" in said
    assert not (hub.state / "keys" / "public.json").exists()  # a wrong key is not remembered


def test_the_hubs_own_journal_takes_nothing_signed_by_another_key(hub: Hub, tmp_path: Path) -> None:
    config = HubState(hub.state).config()
    own = OwnJournal(hub.state / "hub.db", config.hub, Ed25519Signer.create(tmp_path / "another.key"), SystemClock())
    with pytest.raises(BadKey, match=r"record\.key is not the key of the hub's own journal; put the right one back"):
        own.note("test.happened", {})
    assert " 0 findings" in command_here(hub.state, "verify")


def test_a_list_of_keys_that_is_damaged_is_named_and_one_that_is_gone_is_made_anew(hub: Hub) -> None:
    public = hub.state / "keys" / "public.json"
    text = public.read_text(encoding="utf-8")
    public.write_text(text[:40], encoding="utf-8")
    assert "public.json, by which this hub tells its own keys, is damaged; put it back from a copy" in _refusal(hub, "run")
    public.unlink()
    hub.service.start()
    assert hub.service.stop() == 0
    assert public.read_text(encoding="utf-8") == text


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def test_a_hub_toml_that_was_cut_anywhere_is_never_another_configuration(hub: Hub) -> None:
    """It would serve on other ports, and every machine would call a hub that does not answer."""
    config = hub.state / "hub.toml"
    whole = config.read_bytes()
    for size in range(len(whole)):
        config.write_bytes(whole[:size])
        with pytest.raises(BadConfig, match=r"hub\.toml: .*; mend the file$"):
            HubState(hub.state).config()
    config.write_bytes(whole[:whole.index(b"api_port")])
    assert "api_port is not there: perhaps the file was cut off; mend the file" in _refusal(hub, "run")
