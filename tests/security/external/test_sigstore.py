"""Sigstore's client takes our checkpoints and inclusion proofs, and refuses them once they are broken."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import SignedCheckpoint, verify_checkpoint
from sigstore._internal.trust import Keyring, RekorKeyring
from sigstore.errors import VerificationError
from sigstore.models import TransparencyLogEntry
from sigstore_models.common import v1 as common
from sigstore_models.rekor import v1 as rekor

from security.proofs import ProofRefused, check_inclusion, inclusion_proof
from security.signer import Ed25519Signer
from security.tree import leaf_hash_of
from tests.security.external.log import KEY, SIGNER, Log, log_of

SIZES = [1, 2, 3, 7, 8, 255, 256, 257, 700]


def _keyring(signer: Ed25519Signer) -> RekorKeyring:
    der = Ed25519PublicKey.from_public_bytes(signer.public_key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = common.PublicKey(raw_bytes=base64.b64encode(der), key_details=common.PublicKeyDetails.PKIX_ED25519)
    return RekorKeyring(Keyring([key]))


def _entry(log: Log, index: int, proof: list[bytes], *, body: bytes | None = None, size: int | None = None,
           root: bytes | None = None, note: bytes | None = None) -> TransparencyLogEntry:
    """What Rekor would say of this entry of our log."""
    return TransparencyLogEntry(rekor.TransparencyLogEntry(
        log_index=str(index), log_id=common.LogId(key_id=base64.b64encode(KEY.id)),
        kind_version=rekor.KindVersion(kind="suozhan", version="1"),
        canonicalized_body=base64.b64encode(log.entries[index] if body is None else body),
        inclusion_proof=rekor.InclusionProof(
            log_index=str(index), tree_size=str(size or len(log.entries)), hashes=[base64.b64encode(hash_) for hash_ in proof],
            root_hash=base64.b64encode(root or log.checkpoint.root),
            checkpoint=rekor.Checkpoint(envelope=(note or log.note).decode()))))


def _refused(check: Callable[[], None]) -> bool:
    try:
        check()
    except VerificationError:
        return True
    return False


@pytest.mark.parametrize("size", SIZES)
def test_it_takes_our_checkpoints_and_our_inclusion_proofs(size: int) -> None:
    log = log_of(size)
    parsed = SignedCheckpoint.from_text(log.note.decode()).checkpoint
    assert (parsed.origin, parsed.log_size, parsed.log_hash) == (KEY.name, size, log.checkpoint.root.hex())
    for index in {0, size // 3, size // 2, size - 1}:
        entry = _entry(log, index, inclusion_proof(index, size, log.reader().node))
        verify_checkpoint(_keyring(SIGNER), entry)
        verify_merkle_inclusion(entry)


def test_it_refuses_a_proof_in_which_a_bit_is_changed_and_so_do_we() -> None:
    log, index = log_of(700), 123
    proof, leaf = inclusion_proof(index, 700, log.reader().node), leaf_hash_of(log.entries[index])
    broken = [[*proof[:place], bytes([hash_[0] ^ 1]) + hash_[1:], *proof[place + 1:]] for place, hash_ in enumerate(proof)]
    broken += [proof[:-1], [*proof, proof[0]], proof[::-1]]
    for bad in broken:
        assert _refused(lambda bad=bad: verify_merkle_inclusion(_entry(log, index, bad)))
        with pytest.raises(ProofRefused):
            check_inclusion(leaf, index, 700, bad, log.checkpoint.root)


def test_it_refuses_another_entry_another_size_and_another_root() -> None:
    log, index = log_of(700), 123
    proof = inclusion_proof(index, 700, log.reader().node)
    for bad in (_entry(log, index, proof, body=b"another"), _entry(log, index, proof, size=701 + 512),
                _entry(log, index, proof, root=bytes(32))):
        assert _refused(lambda bad=bad: verify_merkle_inclusion(bad))


def test_it_refuses_a_checkpoint_whose_text_was_changed_and_one_by_another_key() -> None:
    log = log_of(8)
    proof = inclusion_proof(3, 8, log.reader().node)
    changed = log.note.replace(b"\n8\n", b"\n9\n")
    assert changed != log.note
    assert _refused(lambda: verify_checkpoint(_keyring(SIGNER), _entry(log, 3, proof, note=changed)))
    stranger = Ed25519Signer.__new__(Ed25519Signer)
    stranger.public_key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")  # RFC 8032, test 1
    assert _refused(lambda: verify_checkpoint(_keyring(stranger), _entry(log, 3, proof)))
    assert _refused(lambda: verify_checkpoint(_keyring(SIGNER), _entry(log, 3, proof, root=bytes(32))))
