"""Whether identity, keys, certificate and journal of a machine are whole and belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from cryptography import x509

from edge.followed import Succession
from edge.identity import NotEnrolled, load_identity
from edge.journal_check import Finding
from edge.journal_store import JournalIdentity
from edge.state import IdentityFolder, JournalFiles
from edge.tls_pair import load_pair
from security.chain import Genesis
from security.file_trouble import advised, without_advice
from security.signer import BadKey, Ed25519Signer

REJOIN = "without one let this machine rejoin: suozhan-edge rejoin --reason TEXT"
RESTORE = f"put it back from a copy; {REJOIN}"
INVITED = ("restore it from a copy, or ask for an invitation (suozhan-hub invite SITE --replaces {}) and run: suozhan-edge "
           "rejoin TOKEN")


def known_identity(files: JournalFiles) -> JournalIdentity | None:
    """Whose journal it is, as the files beside it say; None when one of them is damaged, too."""
    try:
        identity, signer = load_identity(files.folder.identity), Ed25519Signer.load(files.folder.record_key)
        genesis = Genesis(identity.edge_id, identity.journals[files.name], signer.suite, signer.public_key, _predecessor(files))
    except (NotEnrolled, BadKey, OSError, ValueError, KeyError):
        return None
    return JournalIdentity(files.name, genesis)


def _predecessor(files: JournalFiles) -> UUID | None:
    """The journal before it, which a genesis names; as read_succession (edge/succession.py) the identity before says it, too.

    Raises NotEnrolled, OSError, ValueError.
    """
    folder, before = files.folder, files.folder.before
    if before is None and not folder.succession.exists():
        return None
    try:
        succession = Succession.load(folder)
    except (FileNotFoundError, ValueError):
        if before is None:
            raise
        return load_identity(before.identity).journals.get(files.name)
    ended = succession.journals.get(files.name)
    return ended.journal if ended else None


def check_keys(state: IdentityFolder, geneses: Mapping[str, Genesis]) -> Iterator[Finding]:
    """`geneses`: whose journals they are, by name, as those journals say that can."""
    try:
        identity = load_identity(state.identity)
    except (NotEnrolled, OSError) as error:
        yield Finding("identity", advised(error))
        return
    for name, genesis in geneses.items():
        if (genesis.edge, genesis.journal) != (identity.edge_id, identity.journals.get(name)):
            yield Finding("identity", f"{state.identity} and {JournalFiles(state, name).db} are those of two machines; restore "
                          "both from one copy")
    try:
        signer = Ed25519Signer.load(state.record_key)
        for name, genesis in geneses.items():
            if signer.public_key != genesis.public_key:
                yield Finding("keys", f"{state.record_key} is not the key of {JournalFiles(state, name).db}; restore both from "
                              "one copy")
    except (BadKey, OSError) as error:
        yield Finding("keys", f"{without_advice(error)}; {RESTORE}" if isinstance(error, OSError) and error.errno else
                      f"{error}; {REJOIN}")
    if not identity.certified:
        return
    try:
        x509.load_pem_x509_certificate(identity.root.encode())
        load_pair(state, identity)
    except ValueError as error:
        yield Finding("keys", str(error) if isinstance(error, BadKey) else f"{state.identity}: {error}; restore it from a copy")
    except OSError as error:
        yield Finding("keys", f"{without_advice(error)}; {INVITED.format(identity.edge)}")
