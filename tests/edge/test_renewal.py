"""Renewal at the machine, against a real desk: when it asks, what it does with the answer, and what a crash leaves."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge import renewal
from edge.diagnosis import RenewalNews, Renewing
from edge.renewal_wire import Answer
from edge.tls_pair import RENEW_FROM, RENEW_UNTIL, TlsFiles, TlsPair, load_pair
from hub.enrolment.callers import CallerRefused
from hub.enrolment.revocation import revoke
from security.certificates import Authority, BadCertificate, der, edge_certificate, pem
from security.signer import BadKey
from tests.renewing import DAY_MS, DeskOffice, RenewingHub, RenewingMachine
from tests.spine import CEILING_S


@pytest.fixture
def hub(tmp_path: Path) -> RenewingHub:
    folder = tmp_path / "hub"
    folder.mkdir()
    return RenewingHub(folder)


@pytest.fixture
def machine(tmp_path: Path, hub: RenewingHub) -> RenewingMachine:
    return RenewingMachine(tmp_path / "edge", hub)


def test_it_renews_at_half_of_its_life_and_not_before(machine: RenewingMachine) -> None:
    first, last = machine.files.pair.validity.first_ms, machine.files.pair.validity.last_ms
    at = machine.files.pair.renew_at_ms
    assert first + RENEW_FROM * (last - first) <= at <= first + RENEW_UNTIL * (last - first)
    machine.clock.now_ms = machine.hub.clock.now_ms = at - 1
    assert machine.step() == renewal.LOOK_S
    assert machine.office.asked == []
    machine.clock.now_ms = machine.hub.clock.now_ms = at
    machine.step()
    assert (machine.files.generation, machine.renewed) == (1, 1)
    assert machine.works().generation == 1
    assert not machine.state.tls_next.exists()


def test_two_machines_do_not_renew_in_the_same_moment(tmp_path: Path, hub: RenewingHub) -> None:
    moments = {RenewingMachine(tmp_path / str(number), hub).files.pair.renew_at_ms for number in range(8)}
    assert max(moments) - min(moments) > DAY_MS / 4


def test_a_machine_that_slept_for_months_renews_by_itself(machine: RenewingMachine) -> None:
    """Invariant 9."""
    machine.sleep(200)
    machine.step()
    assert machine.works().generation == 1


def test_a_machine_whose_clock_is_ahead_asks_once_and_then_waits(machine: RenewingMachine) -> None:
    """Invariant 10: else it would spend a generation with every look."""
    machine.clock.now_ms += 40 * DAY_MS
    assert machine.step() > 3600
    assert (machine.office.asked, machine.files.generation) == (["nonce"], 0)
    assert not machine.state.tls_next.exists()


def test_a_machine_whose_clock_is_behind_renews_when_the_hub_says_so(machine: RenewingMachine) -> None:
    machine.hub.clock.now_ms += 40 * DAY_MS
    machine.step()
    assert machine.office.asked == []
    machine.renewal.want()
    machine.step()
    assert machine.files.generation == 1


def test_beyond_the_grace_it_waits_for_a_person_and_goes_on_by_itself(machine: RenewingMachine) -> None:
    machine.sleep(300)
    assert 30 <= machine.step() <= 60
    asked = machine.hub.approvals.waiting()
    assert machine.renewal.news.state is Renewing.WAITING
    assert machine.renewal.news.approval == asked[0].id
    machine.start()  # a restart asks for the same
    machine.step()
    assert machine.hub.approvals.waiting() == asked
    machine.hub.approvals.decide(asked[0].id, "李芳", "found", approved=True)
    machine.step()
    assert machine.renewal.news == RenewalNews()
    assert machine.works().generation == 1


def test_a_revoked_machine_and_a_clone_learn_it_and_ask_rarely(machine: RenewingMachine, tmp_path: Path) -> None:
    machine.sleep(20)
    copied = {path.name: path.read_bytes() for path in (machine.state.root / "keys").iterdir()}
    machine.step()
    for path in (machine.state.root / "keys").iterdir():
        path.unlink()
    for name, data in copied.items():
        path = machine.state.root / "keys" / name
        path.write_bytes(data)
        path.chmod(0o600)
    machine.start()
    assert machine.step() >= renewal.REFUSED_RETRY_S / 2
    assert machine.renewal.news.state is Renewing.CLONED
    assert "clone" in machine.hub.alarm_texts()
    revoke(machine.hub.engine, machine.hub.own, machine.identity.edge, "李芳", "stolen", 1)
    machine.step()
    assert machine.renewal.news.state is Renewing.REVOKED


def test_a_hub_that_is_away_is_asked_again_later_and_sooner_when_the_certificate_has_ended(machine: RenewingMachine) -> None:
    machine.sleep(20)
    for _ in range(20):
        machine.office.lose.append("nonce")
        pause_s = machine.step()
    assert renewal.RETRY_MAX_S / 2 <= pause_s <= renewal.RETRY_MAX_S
    assert machine.renewal.news.state is Renewing.TRYING
    machine.sleep(20)
    machine.office.lose.append("nonce")
    assert machine.step() <= renewal.RETRY_EXPIRED_MAX_S
    machine.step()
    assert machine.works().generation == 1


@pytest.mark.parametrize("lost", ["nonce", "renew-before", "renew-after"])
def test_a_lost_message_costs_another_try_and_nothing_else(machine: RenewingMachine, lost: str) -> None:
    """Invariant 2 for certificates: lost before or after the hub stored it."""
    machine.sleep(20)
    machine.office.lose.append(lost)
    machine.step()
    assert machine.files.generation == 0
    machine.hub.restart()
    machine.start()
    machine.step()
    assert machine.works().generation == 1
    assert machine.hub.alarm_texts() == {}


def test_an_answer_that_does_not_fit_is_not_taken(machine: RenewingMachine, tmp_path: Path) -> None:
    """A hub that answers nonsense: the present pair stays."""
    machine.sleep(20)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    strange = RenewingMachine(tmp_path / "other", RenewingHub(elsewhere))
    ours, intermediate = der(machine.files.pair.leaf), der(machine.hub.authority.intermediate.certificate)
    for chain in ((ours, intermediate), (ours,), (b"rubbish",), (der(strange.files.pair.leaf), intermediate),
                  (intermediate, intermediate)):
        async def answer(*_: Any, chain: tuple[bytes, ...] = chain) -> Answer:
            return Answer(chain)

        machine.office.renew = answer  # type: ignore[method-assign]
        machine.step()
        assert machine.renewal.news.state is Renewing.TRYING
        assert "IT desk" in machine.renewal.news.text
        assert not machine.state.tls_pair.exists()
    now = dt.datetime.fromtimestamp(machine.hub.clock.now_ms / 1000, dt.UTC)
    for issuer, generation in ((strange.hub.authority.intermediate, 1), (machine.hub.authority.intermediate, 2)):
        async def forge(csr_der: bytes, *_: Any, issuer: Authority = issuer, generation: int = generation) -> Answer:
            leaf = edge_certificate(issuer, csr_der, machine.hub.hub, machine.identity.edge_id, now, generation=generation)
            return Answer((der(leaf), der(issuer.certificate)))

        machine.office.renew = forge  # type: ignore[method-assign]
        machine.step()
        assert not machine.state.tls_pair.exists()
    machine.start()
    machine.step()
    assert machine.works().generation == 1


# ---- the machine dies at each durable step (invariant 11) ----

STEPS_MAX = 40


def _dying(step: int) -> tuple[Callable[[str], None], list[str]]:
    """Counts what lasts; in the `step`th one the process ends, as by SIGKILL."""
    done: list[str] = []

    def count(what: str) -> None:
        done.append(what)
        if len(done) == step:
            os._exit(9)

    return count, done


def _renew_and_die(machine: RenewingMachine, step: int) -> int:
    """In a child process; 9 when it died before it was through."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        count, _ = _dying(step)
        machine.hub.restart()  # its own connections
        machine.start()
        for name in ("fsync", "open"):
            _around(os, name, count)
        for name in ("replace", "unlink"):
            _around(Path, name, count)
        for name in ("nonce", "renew"):
            _around_async(machine.office, name, count)
        machine.step()
        os._exit(0 if machine.files.generation == 1 else 1)
    finally:
        os._exit(2)


def _around(owner: Any, name: str, count: Callable[[str], None]) -> None:
    real = getattr(owner, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        count(f"before {name}")
        result = real(*arguments, **options)
        count(f"after {name}")
        return result

    setattr(owner, name, wrapped)


def _around_async(office: DeskOffice, name: str, count: Callable[[str], None]) -> None:
    real = getattr(office, name)

    async def wrapped(*arguments: Any) -> Any:
        count(f"before {name}")
        result = await real(*arguments)
        count(f"after {name}")
        return result

    setattr(office, name, wrapped)


def test_killed_at_each_durable_step_it_ends_with_a_pair_that_works(tmp_path: Path, hub: RenewingHub) -> None:
    generations = []
    for step in range(1, STEPS_MAX):
        machine = RenewingMachine(tmp_path / f"edge-{step}", hub)
        hub.admit(machine.files.pair.leaf, machine.identity.edge_id)
        machine.clock.now_ms += 20 * DAY_MS
        hub.clock.now_ms += 20 * DAY_MS
        code = _renew_and_die(machine, step)
        hub.restart()
        assert code in {0, 9}, step
        generations.append(machine.works().generation)  # what lies there belongs together, and the hub takes it
        machine.step()  # the next start goes on from there
        assert machine.works().generation == 1, step
        assert hub.alarm_texts() == {}, step
        hub.clock.now_ms -= 20 * DAY_MS
        if code == 0:
            break
    else:
        pytest.fail(f"more than {STEPS_MAX} durable steps")
    assert set(generations) == {0, 1}
    assert generations == sorted(generations)
    assert len(generations) > 10, "it died too rarely to prove much"


def test_a_damaged_next_key_is_replaced_and_a_damaged_pair_names_its_file(machine: RenewingMachine) -> None:
    machine.sleep(20)
    machine.office.lose.append("renew-before")
    machine.step()
    held = machine.state.tls_next.read_bytes()
    for broken in (b"", held[:100], bytes(len(held)), held.replace(b"REQUEST", b"RUBBISH")):
        machine.state.tls_next.write_bytes(broken)
        request = TlsFiles(machine.state, machine.identity).next_request()
        assert request.key_pem not in held
    machine.start()
    machine.step()
    whole = machine.state.tls_pair.read_bytes()
    for broken in (b"", whole[:len(whole) // 2], bytes(len(whole)), whole[:200] + whole[300:]):
        machine.state.tls_pair.write_bytes(broken)
        with pytest.raises(BadKey, match=r"tls\.pem is damaged or of another machine .* rejoin"):
            load_pair(machine.state, machine.identity)


def _flipped(block: bytes) -> Iterator[bytes]:
    """A PEM block with each bit of its content flipped in turn."""
    first, *lines, last = block.splitlines(keepends=True)
    content = base64.b64decode(b"".join(lines))
    for bit in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        yield first + base64.encodebytes(flipped) + last


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_whatever_bit_of_a_pair_is_flipped_it_is_named_as_bad(machine: RenewingMachine) -> None:
    """A key of an unknown algorithm, a certificate of an unknown version: to the library these are errors of other kinds. A
    generation that is another one would make this machine a clone of itself.
    """
    pair = machine.files.pair
    leaf = pem(pair.leaf)
    damaged = [TlsPair(key, pair.chain_pem) for key in _flipped(pair.key_pem)]
    damaged += [TlsPair(pair.key_pem, one + pair.chain_pem[len(leaf):]) for one in islice(_flipped(leaf), 0, None, 3)]
    taken = []
    for one in damaged:
        with suppress(BadCertificate):
            one.check(machine.identity)
            taken.append(one)
    assert len(taken) <= 1  # the tag of the public half, which the library may do without
    assert all((one.key.private_numbers(), one.leaf) == (pair.key.private_numbers(), pair.leaf) for one in taken)


def test_a_key_of_an_algorithm_that_nobody_knows_is_a_damaged_file(machine: RenewingMachine) -> None:
    machine.files.next_request()
    for path in (machine.state.tls_key, machine.state.tls_next):
        whole = path.read_bytes()
        unknown = [key for key in _flipped(whole[:whole.index(b"-----END")] + b"-----END PRIVATE KEY-----\n") if _is_unknown(key)]
        path.write_bytes(unknown[0] + whole[len(unknown[0]):])
    with pytest.raises(BadKey, match=r"tls\.key is damaged"):
        load_pair(machine.state, machine.identity)
    assert machine.files.next_request().key_pem not in unknown


def _is_unknown(key: bytes) -> bool:
    try:
        load_pem_private_key(key, None)
    except UnsupportedAlgorithm:
        return True
    except ValueError:
        pass
    return False


def test_a_pair_of_another_machine_is_not_taken_for_ours(tmp_path: Path, machine: RenewingMachine, hub: RenewingHub) -> None:
    other = RenewingMachine(tmp_path / "other", hub)
    other.sleep(20)
    other.step()
    machine.state.tls_pair.write_bytes(other.state.tls_pair.read_bytes())
    machine.state.tls_pair.chmod(0o600)
    with pytest.raises(BadKey, match="is of machine"):
        load_pair(machine.state, machine.identity)


def test_after_the_new_pair_was_used_a_backup_of_the_old_one_is_found_out(machine: RenewingMachine) -> None:
    old = machine.files.pair.leaf
    machine.sleep(20)
    machine.step()
    assert machine.hub.admit(old, machine.identity.edge_id).generation == 0
    machine.works()
    with pytest.raises(CallerRefused, match="copy of the machine's disk"):
        machine.hub.admit(old, machine.identity.edge_id)


def test_the_task_sleeps_until_it_is_wanted(machine: RenewingMachine) -> None:
    async def scenario() -> None:
        running = asyncio.create_task(machine.renewal.run())
        await asyncio.sleep(0.05)
        assert machine.files.generation == 0
        machine.clock.now_ms += 40 * DAY_MS
        machine.hub.clock.now_ms += 40 * DAY_MS
        machine.renewal.want()
        async with asyncio.timeout(CEILING_S):
            while machine.files.generation == 0:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(scenario())
