"""Cards of generation 3: card and terminal prove themselves to each other, by keys in a PSAM or elsewhere."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import psam_slot, remote_authenticator
from devices.apdu import transmit
from devices.atr import historical
from devices.card_authentication import (
    EXTERNAL,
    GET_CHALLENGE,
    INTERNAL,
    Algorithm,
    CardAuthenticator,
    Challenge,
    Proofs,
    Question,
    Subject,
    algorithm_in,
    authenticate,
)
from devices.cards import CardReaders
from devices.contract import CardRefused, DeviceFault, DeviceState, DeviceUnavailable, Reading
from devices.psam_slot import PsamSlot
from devices.remote_authenticator import RemoteAuthenticator
from devices.simulated.card import CardText, records_of
from devices.simulated.card_keys import made_from
from devices.simulated.chip import VirtualChip
from devices.simulated.folder import ReaderFolder
from devices.simulated.psam import PsamText
from devices.simulated.wire import SimulatedReaders
from devices.social_card import SocialCard, SocialCardDriver, read_card
from devices.social_card_files import CARD_FILE, HOLDER_FILE, SELECT_APPLICATION
from edge.equipment.card_source import CardReaderSource
from tests.devices.hsm import software

A, B, C = "Suozhan Virtual A", "Suozhan Virtual B", "Suozhan Virtual C"
ZHANG = CardText(generation=3)
READ_ID_NUMBER = bytes.fromhex("00B2080000")
TRIES = 3
WAIT_MAX_S = 30.0


def select(file: int) -> bytes:
    return bytes([0x00, 0xA4, 0x02, 0x00, 2]) + file.to_bytes(2, "big")


def full_name(readers: CardReaders, name: str) -> str:
    return next((one.name for one in readers.states if one.name.startswith(name)), name)


def slot(readers: CardReaders, psam: PsamText) -> PsamSlot:
    return PsamSlot(readers, full_name(readers, B), {Algorithm(psam.algorithm): psam.keys})


class OnChip:
    """A wire straight to a chip that keeps what was sent."""

    reader, simulated = "chip", True

    def __init__(self, text: CardText) -> None:
        self.chip = VirtualChip(text)
        self.atr = self.chip.power_up() or b""
        self.sent: list[bytes] = []

    async def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self.sent.append(bytes(apdu))
        return transmit(lambda command: self.chip.exchange(bytes(command)) or b"", apdu)


async def read_with(readers: CardReaders, keys: CardAuthenticator | None) -> Reading[SocialCard]:
    async with SocialCardDriver(readers, full_name(readers, A), keys=keys) as driver:
        return await driver.read()


def read(with_chips, card: CardText, psam: PsamText | None = None, **more) -> Reading[SocialCard]:
    psam = PsamText(**more) if psam is None else psam

    async def run() -> Reading[SocialCard]:
        async with with_chips({A: card, B: psam}) as readers:
            return await read_with(readers, slot(readers, psam))

    return asyncio.run(run())


@pytest.mark.parametrize("t0", [True, False], ids=["with 61xx and 6Cxx", "without"])
@pytest.mark.parametrize("algorithm", [Algorithm.SM4, Algorithm.TDES])
def test_a_card_that_proves_itself_is_read_whole_and_says_so(with_chips, algorithm: Algorithm, t0: bool) -> None:
    reading = read(with_chips, replace(ZHANG, algorithm=algorithm, t0=t0), algorithm=algorithm, t0=t0)
    card = reading.data
    assert (card.name, card.id_number, card.card_number) == ("张三", "11010519491231002X", "A12345678")
    assert (card.generation, card.authenticated, reading.simulated) == (3, True, True)
    assert not [said for said in ("张三", "11010519491231002X", "A12345678") if said in repr(reading)]


@pytest.mark.parametrize("generation", [1, 2])
def test_older_cards_are_read_as_ever_and_not_called_authenticated(with_chips, generation: int) -> None:
    assert read(with_chips, replace(ZHANG, generation=generation)).data.authenticated is False


@pytest.mark.parametrize("forged", [{"imitation": True}, {"generation": 2, "values": {"03": "332E3030"}}],
                         ids=["other keys", "no such command"])  # fmt: skip
def test_an_imitation_is_refused_as_possible_fraud(with_chips, forged) -> None:
    with pytest.raises(CardRefused, match="仿制") as refused:
        read(with_chips, replace(ZHANG, **forged))
    assert refused.value.state is DeviceState.POTENTIAL_FRAUD


@pytest.mark.parametrize("tells", [True, False])
def test_a_terminal_with_the_wrong_key_is_told_how_many_tries_are_left_and_then_that_it_is_locked(with_chips, tells) -> None:
    psam = PsamText(external_key="00" * 16)

    async def run() -> list[str]:
        hints = []
        async with with_chips({A: replace(ZHANG, tells_tries=tells), B: psam}) as readers:
            for _ in range(TRIES + 1):
                with pytest.raises(CardRefused) as refused:
                    await read_with(readers, slot(readers, psam))
                assert refused.value.state is DeviceState.USER_ERROR
                hints.append(refused.value.hint)
        return hints

    hints = asyncio.run(run())
    for left, hint in zip((2, 1, 0), hints, strict=False):
        assert (f"还能试 {left} 次" in hint) is tells
        assert "不认本机的密钥" in hint
    assert "已锁定" in hints[-1]


def test_a_key_that_is_locked_is_said_to_be(with_chips) -> None:
    with pytest.raises(CardRefused, match="认证密钥已锁定"):
        read(with_chips, replace(ZHANG, key_tries=0))


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"external_key": ""}, "SM4密钥"),
        ({"internal_key": ""}, "SM4密钥"),
        ({"mute": True}, "没有可用的 PSAM"),
        ({"mute_after": 3}, "没有可用的 PSAM"),
        ({"pull_after": 4}, "没有可用的 PSAM"),
    ],
)
def test_whatever_ails_the_psam_is_not_said_of_the_card(with_chips, change, hint: str) -> None:
    with pytest.raises(DeviceFault, match=hint) as fault:
        read(with_chips, ZHANG, **change)
    assert not isinstance(fault.value, CardRefused)


def test_a_psam_without_the_application_or_the_algorithm_and_a_slot_without_a_psam_are_faults(with_chips) -> None:
    psam = PsamText()

    async def run() -> None:
        async with with_chips({A: ZHANG, B: replace(psam, application="D15600000591")}) as readers:
            with pytest.raises(DeviceFault, match="返回状态 6A82"):
                await read_with(readers, slot(readers, psam))
            with pytest.raises(DeviceFault, match="SM4密钥"):
                await read_with(readers, PsamSlot(readers, full_name(readers, B), {Algorithm.TDES: psam.keys}))
        async with with_chips({A: ZHANG}) as readers:
            with pytest.raises(DeviceFault, match="没有可用的 PSAM") as fault:
                await read_with(readers, slot(readers, psam))
            assert not isinstance(fault.value, CardRefused)
            with pytest.raises(DeviceFault, match="没有可用的 PSAM") as away:  # not the reader of the card is gone
                await read_with(readers, PsamSlot(readers, "no such reader", {Algorithm.SM4: psam.keys}))
            for error in (fault.value, away.value):
                assert (error.state, error.reasons) == (DeviceState.HARDWARE_ERROR, ("noPsam",))

    asyncio.run(run())


@pytest.mark.parametrize("counted", ["Suozhan Virtual B (A1B2) 07 00", "Suozhan Virtual B 07 01"])
def test_a_psam_is_found_where_its_reader_is_counted_anew(counted: str) -> None:
    """As after a start of the machine. The slot is no reader for residents, under either name."""
    async def run() -> None:
        now = counted.replace(" 07 ", " 00 ")
        async with SimulatedReaders(readers=(A, now)) as readers:
            readers.insert(A, ZHANG)
            readers.insert(now, PsamText())
            keys = PsamSlot(readers, counted, {Algorithm.SM4: PsamText().keys})
            assert (await read_with(readers, keys)).data.authenticated
            assert [one.name for one in CardReaderSource(readers, keys=keys, psam_slot=counted, simulated=True).wanted()] == [A]

    asyncio.run(run())


def test_two_readers_share_one_psam(zhang: CardText, li: CardText) -> None:
    psam = PsamText(slow_ms=2)

    async def run() -> None:
        async with SimulatedReaders(readers=[A, B, C]) as readers:
            readers.insert(A, replace(zhang, generation=3))
            readers.insert(C, replace(li, generation=3))
            readers.insert(B, psam)
            keys = slot(readers, psam)

            async def one(name: str) -> str:
                async with SocialCardDriver(readers, name, keys=keys) as driver:
                    return (await driver.read()).data.name

            for _ in range(5):
                assert await asyncio.gather(one(A), one(C)) == ["张三", "李四"]

    asyncio.run(run())


def test_a_psam_that_somebody_looks_at_is_waited_for_but_not_for_long(with_chips, monkeypatch: pytest.MonkeyPatch) -> None:
    psam = PsamText()

    async def run() -> None:
        async with with_chips({A: ZHANG, B: psam}) as readers:
            keys = slot(readers, psam)
            monkeypatch.setattr(psam_slot, "BUSY_MAX_S", WAIT_MAX_S)
            async with readers.card(full_name(readers, B)):
                reading = asyncio.create_task(read_with(readers, keys))
                await asyncio.sleep(0.2)
            assert (await reading).data.authenticated
            monkeypatch.undo()
            async with readers.card(full_name(readers, B)):
                with pytest.raises(DeviceUnavailable, match="PSAM") as busy:
                    await read_with(readers, keys)
                assert busy.value.state is DeviceState.DEVICE_BUSY

    asyncio.run(run())


def test_a_psam_can_be_put_into_the_directory_too(tmp_path: Path) -> None:
    async def run() -> None:
        folder = ReaderFolder(tmp_path)
        folder.insert(A, "generation = 3\nalgorithm = '3DES'\n")
        folder.insert(B, "chip = 'psam'\nalgorithm = '3DES'\n")
        async with SimulatedReaders(tmp_path) as readers:
            reading = await read_with(readers, slot(readers, PsamText(algorithm="3DES")))
            assert reading.data.authenticated

    asyncio.run(run())


@pytest.mark.parametrize("text", ["chip = 'sim'", "chip = 'psam'\ngeneration = 3", "internal = 3"])
def test_a_text_that_is_no_chip_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="unknown"):
        ReaderFolder(tmp_path).insert(A, text)


def test_the_card_proves_itself_first_and_an_imitation_learns_nothing() -> None:
    wire = OnChip(replace(ZHANG, imitation=True))
    with pytest.raises(CardRefused):
        asyncio.run(read_card(wire, RemoteAuthenticator(software)))
    assert [apdu[:5] for apdu in wire.sent][-2:] == [INTERNAL, GET_CHALLENGE]
    assert not [apdu for apdu in wire.sent if apdu.startswith(EXTERNAL)]


def test_every_reading_asks_the_card_something_new() -> None:
    asked = set()
    for _ in range(5):
        wire = OnChip(ZHANG)
        asyncio.run(read_card(wire, RemoteAuthenticator(software)))
        asked |= {apdu[5:] for apdu in wire.sent if apdu.startswith((INTERNAL, EXTERNAL))}
    assert len(asked) == 10


def test_holder_and_keys_are_shown_to_both_only() -> None:
    async def run() -> None:
        wire = OnChip(ZHANG)

        async def holder() -> int:
            await wire.transmit(select(HOLDER_FILE))
            return (await wire.transmit(READ_ID_NUMBER))[1]

        await wire.transmit(SELECT_APPLICATION)
        assert await holder() == 0x6982
        await wire.transmit(INTERNAL + bytes(16))
        assert await holder() == 0x6982, "the card alone has proved itself"
        selected, _ = await wire.transmit(SELECT_APPLICATION)
        subject = Subject(algorithm_in(selected), records_of(ZHANG)[CARD_FILE][1][2:], historical(wire.atr))
        challenge, _ = await wire.transmit(GET_CHALLENGE)
        proofs = await software(Question(subject, Challenge(bytes(8), bytes(8)), Challenge(challenge, bytes(8))))
        assert (await wire.transmit(EXTERNAL + proofs.terminal))[1] == 0x9000
        assert await holder() == 0x6982, "the terminal alone has"
        await authenticate(wire, subject, RemoteAuthenticator(software))
        assert await holder() == 0x9000
        await wire.transmit(SELECT_APPLICATION)
        assert await holder() == 0x6982, "a selection begins anew"
        assert (await wire.transmit(EXTERNAL + proofs.terminal))[1] == 0x6984, "no challenge was asked for"
        await wire.transmit(GET_CHALLENGE)
        assert (await wire.transmit(EXTERNAL + proofs.terminal))[1] == 0x63C2, "an old proof is none"
        await wire.transmit(GET_CHALLENGE)
        await wire.transmit(select(CARD_FILE))
        assert (await wire.transmit(EXTERNAL + proofs.terminal))[1] == 0x6984, "a challenge holds for the next command"

    asyncio.run(run())


@pytest.mark.parametrize("algorithm", [Algorithm.SM4, Algorithm.TDES])
def test_no_card_s_proof_is_another_s(algorithm: Algorithm) -> None:
    challenge = Challenge(bytes(8), bytes(range(8)))
    subjects = [Subject(algorithm, bytes.fromhex("410700") + bytes(13), bytes(12) + bytes([number])) for number in range(3)]
    subjects.append(Subject(algorithm, bytes.fromhex("410701") + bytes(13), bytes(13)))
    proofs = [asyncio.run(software(Question(subject, challenge, challenge))) for subject in subjects]
    assert len({one.card for one in proofs}) == len({one.terminal for one in proofs}) == len(subjects)


def test_both_algorithms_are_what_they_are_called() -> None:
    """GB/T 32907-2016, A.1, whose block is its key and made of two complements; DES's textbook example, the keys equal."""
    block = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    assert made_from(Algorithm.SM4, block, block[:8]).hex().upper() == "681EDF34D206965E86B3E94F536E4246"
    equal = bytes.fromhex("133457799BBCDFF1") * 2
    assert made_from(Algorithm.TDES, equal, block[:8])[:8].hex().upper() == "85E813540F0AB405"


@pytest.mark.parametrize(
    ("selected", "algorithm"),
    [("6F00", Algorithm.TDES), ("A5069F0C03860101", Algorithm.TDES), ("A5069F0C03860102", Algorithm.SSF33),
     ("A5069F0C03860103", Algorithm.SM4), ("9F0C038601", Algorithm.TDES)],
)  # fmt: skip
def test_the_card_says_which_algorithm_it_has(selected: str, algorithm: Algorithm) -> None:
    assert algorithm_in(bytes.fromhex(selected)) is algorithm


def test_an_algorithm_that_nobody_knows_is_refused() -> None:
    with pytest.raises(CardRefused, match="算法"):
        algorithm_in(bytes.fromhex("9F0C03860109"))


@pytest.mark.parametrize(
    ("atr", "history"),
    [("3B6D000000814D22868653582DC4CFB6AB", "00814D22868653582DC4CFB6AB"), ("3B00", ""),
     ("3BDB960080B1FE451F830031C064C7FC10000F90007A", "0031C064C7FC10000F9000"), ("3F0241424344", "4142")],
)  # fmt: skip
def test_historical_bytes_are_found_behind_the_interface_bytes_and_before_the_check_byte(atr: str, history: str) -> None:
    assert historical(bytes.fromhex(atr)).hex().upper() == history


@given(st.binary(max_size=40))
def test_any_answer_to_reset_has_history_or_is_a_fault(atr: bytes) -> None:
    try:
        found = historical(atr)
    except DeviceFault:
        return
    assert found in atr
    assert len(found) == atr[1] & 0x0F


def test_keys_that_do_not_answer_are_unavailable_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(question: Question) -> Proofs:
        await asyncio.Event().wait()
        raise AssertionError

    started = time.monotonic()
    monkeypatch.setattr(remote_authenticator, "PROOFS_MAX_S", 2 * WAIT_MAX_S)
    with pytest.raises(DeviceUnavailable, match="密钥服务"):
        asyncio.run(read_card(OnChip(ZHANG), RemoteAuthenticator(silent, limit_s=0.1)))
    assert time.monotonic() - started < WAIT_MAX_S


@pytest.mark.parametrize("answer", [Proofs(b"", bytes(16)), Proofs(bytes(8), bytes(8)), Proofs(bytes(16), b"")])
def test_a_garbled_answer_of_the_keys_is_a_fault_and_not_sent_to_the_card(answer: Proofs) -> None:
    async def garbled(question: Question) -> Proofs:
        return answer

    wire = OnChip(ZHANG)
    with pytest.raises(DeviceFault, match="密钥服务") as fault:
        asyncio.run(read_card(wire, RemoteAuthenticator(garbled)))
    assert not isinstance(fault.value, CardRefused)
    assert not [apdu for apdu in wire.sent if apdu.startswith(EXTERNAL)]


@pytest.mark.parametrize("error", [DeviceUnavailable("断线。请等待。"), DeviceFault("拒绝。请报修。")])
def test_what_the_keys_say_is_handed_on(error: Exception) -> None:
    async def refusing(question: Question) -> Proofs:
        raise error

    with pytest.raises(type(error)) as raised:
        asyncio.run(read_card(OnChip(ZHANG), RemoteAuthenticator(refusing)))
    assert raised.value is error


def test_nothing_personal_is_in_the_repr_of_question_and_proofs() -> None:
    subject = Subject(Algorithm.SM4, b"A12345678", b"history")
    said = repr(Question(subject, Challenge(b"f", b"s"), Challenge(b"f", b"s"))) + repr(Proofs(b"proof", b"proof"))
    assert "A12345678" not in said
    assert "history" not in said
    assert "proof'" not in said


class Scripted:
    """A card of generation 3 that goes on as it was told once it is asked to prove itself."""

    reader, simulated = "scripted", True

    def __init__(self, answers: list[tuple[bytes, int]]) -> None:
        self._honest = OnChip(ZHANG)
        self.atr = self._honest.atr
        self._answers = answers
        self._next = -1

    async def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        if self._next < 0 and not apdu.startswith(INTERNAL):
            return await self._honest.transmit(apdu)
        self._next += 1
        return self._answers[self._next % len(self._answers)]


STATUS = st.sampled_from([0x9000, 0x9000, 0x6300, 0x63C1, 0x6983, 0x6984, 0x6A88, 0x6D00, 0x6F00])


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from([b"", bytes(8), bytes(9)]) | st.binary(max_size=16), STATUS), min_size=1))
def test_a_card_of_random_proofs_is_refused_or_a_fault(answers: list[tuple[bytes, int]]) -> None:
    with pytest.raises((CardRefused, DeviceFault)):
        asyncio.run(read_card(Scripted(answers), RemoteAuthenticator(software)))


def test_a_reading_that_waits_for_the_keys_can_be_given_up() -> None:
    async def run() -> None:
        asked = asyncio.Event()

        async def silent(question: Question) -> Proofs:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        async with SimulatedReaders(readers=[A]) as readers:
            readers.insert(A, ZHANG)
            reading = asyncio.create_task(read_with(readers, RemoteAuthenticator(silent)))
            await asked.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert (await read_with(readers, RemoteAuthenticator(software))).data.authenticated

    asyncio.run(run())
