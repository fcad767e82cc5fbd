"""Statements of epochs: what is read is what was signed, and nothing else passes for one."""

from __future__ import annotations

from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security import strict_base64
from security.checkpoint import Checkpoint, origin_of
from security.log_epoch import LogEpoch, MalformedEpoch, epoch_of, open_epoch
from security.note import NoteRefused, note_signature, signed_bytes
from security.signer import Ed25519Signer
from security.tree import EMPTY_ROOT

HUB, OTHER = UUID(int=1), UUID(int=2)
SIGNER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
FIRST = LogEpoch(HUB, 1, 7, 0, EMPTY_ROOT)
SECOND = LogEpoch(HUB, 2, 8, 5, bytes([5]) * 32, 9, bytes([9]) * 32)
ROOT = strict_base64.encode(bytes(32))


def _signed(*lines: str, name: str = "") -> str:
    text = "".join(f"{line}\n" for line in lines)
    return signed_bytes(text, [note_signature(text, name or lines[1], SIGNER)]).decode()


@pytest.mark.parametrize("epoch", [FIRST, SECOND])
def test_a_statement_reads_back_as_it_was_made(epoch: LogEpoch) -> None:
    assert open_epoch(epoch.statement(SIGNER), HUB, SIGNER.public_key) == epoch


def test_no_character_of_a_statement_can_be_changed() -> None:
    statement = SECOND.statement(SIGNER)
    for at, character in enumerate(statement):
        with pytest.raises(ValueError, match=r"\w"):
            open_epoch(statement[:at] + chr(ord(character) ^ 1) + statement[at + 1:], HUB, SIGNER.public_key)


@pytest.mark.parametrize("origin", ["", origin_of(OTHER, 1), f"{origin_of(HUB, 1)}x", origin_of(HUB, 1)[:-1], "1",
                                    f"{origin_of(HUB, 0)}1", f"{origin_of(HUB, 1)}/1"])
def test_other_names_are_of_no_epoch(origin: str) -> None:
    assert epoch_of(origin_of(HUB, 12), HUB) == 12
    assert epoch_of(origin, HUB) == 0


@pytest.mark.parametrize(("number", "last_size", "last_root"), [(1, "9", ROOT), (1, "-", ROOT), (1, "9", "-"), (2, "-", "-"),
                                                                (2, "-", ROOT), (2, "9", "-")])
def test_the_first_epoch_alone_has_none_before_it(number: int, last_size: str, last_root: str) -> None:
    with pytest.raises(MalformedEpoch, match="cannot be read"):
        open_epoch(_signed("suozhan epoch v1", origin_of(HUB, number), "7", "0", ROOT, last_size, last_root), HUB,
                   SIGNER.public_key)


@pytest.mark.parametrize("lines", [
    ["7", "0", ROOT, "9"], ["7", "0", ROOT, "9", ROOT, "more"], ["7", "00", ROOT, "9", ROOT], ["-7", "0", ROOT, "9", ROOT],
    ["7", "x", ROOT, "9", ROOT], ["7", "0", ROOT[:-4], "9", ROOT], ["7", "0", ROOT, "9", "AAAA"], ["", "0", ROOT, "9", ROOT],
])
def test_what_makes_no_sense_is_malformed_though_it_is_well_signed(lines: list[str]) -> None:
    with pytest.raises(MalformedEpoch, match="cannot be read"):
        open_epoch(_signed("suozhan epoch v1", origin_of(HUB, 2), *lines), HUB, SIGNER.public_key)


def test_a_statement_is_no_checkpoint_of_another_hub_and_signed_under_its_own_name() -> None:
    checkpoint = Checkpoint(origin_of(HUB, 2), 5, bytes(32)).signed(SIGNER).decode()
    for note in (checkpoint, SECOND.statement(SIGNER).replace(" v1", " v2"), "suozhan epoch v1", ""):
        with pytest.raises(MalformedEpoch, match="no epoch of the hub"):
            open_epoch(note, HUB, SIGNER.public_key)
    with pytest.raises(MalformedEpoch, match="no epoch of the hub"):
        open_epoch(SECOND.statement(SIGNER), OTHER, SIGNER.public_key)
    body = SECOND.statement(SIGNER).split("\n\n")[0].split("\n")
    with pytest.raises(NoteRefused):
        open_epoch(_signed(*body, name=origin_of(HUB, 1)), HUB, SIGNER.public_key)
