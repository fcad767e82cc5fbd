"""Whether identity, keys, certificate and journal of a machine are whole and belong together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID

from cryptography import x509

from edge.identity import NotEnrolled, load_identity
from edge.journal_check import Finding
from edge.journal_store import JournalIdentity
from edge.state import BUSINESS_JOURNAL, IdentityFolder
from edge.tls_pair import load_pair
from security.chain import Genesis
from security.private_files import read_private
from security.signer import BadKey, Ed25519Signer

REJOIN = "without one let this machine rejoin: suozhan-edge rejoin --reason TEXT"
RESTORE = f"put it back from a copy; {REJOIN}"
INVITED = ("restore it from a copy, or ask for an invitation (suozhan-hub invite SITE --replaces {}) and run: suozhan-edge "
           "rejoin TOKEN")


def known_identity(state: IdentityFolder) -> JournalIdentity | None:
    """Whose journal it is, as the files beside it say; None when one of them is damaged, too."""
    try:
        identity, signer = load_identity(state.identity), Ed25519Signer.load(state.record_key)
        predecessor = _predecessor(state)
    except (NotEnrolled, BadKey, OSError, ValueError, TypeError, KeyError):
        return None
    genesis = Genesis(identity.edge_id, UUID(identity.journal), signer.suite, signer.public_key, predecessor)
    return JournalIdentity(BUSINESS_JOURNAL, genesis)


def _predecessor(state: IdentityFolder) -> UUID | None:
    """The journal before it, which a genesis names; as read_succession (edge/succession.py) the identity before says it, too.

    Raises NotEnrolled, OSError, ValueError.
    """
    if state.before is None and not state.succession.exists():
        return None
    try:
        return UUID(json.loads(read_private(state.succession))["old_journal"])
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        if state.before is None:
            raise
        return UUID(load_identity(state.before.identity).journal)


def check_keys(state: IdentityFolder, genesis: Genesis | None) -> Iterator[Finding]:
    """`genesis`: whose journal it is, as the journal says; None when it cannot."""
    try:
        identity = load_identity(state.identity)
    except (NotEnrolled, OSError) as error:
        yield Finding("identity", str(error))
        return
    if genesis and (genesis.edge, genesis.journal) != (identity.edge_id, UUID(identity.journal)):
        yield Finding("identity", f"{state.identity} and {state.journal} are those of two machines; restore both from one copy")
    try:
        signer = Ed25519Signer.load(state.record_key)
        if genesis and signer.public_key != genesis.public_key:
            yield Finding("keys", f"{state.record_key} is not the key of {state.journal}; restore both from one copy")
    except (BadKey, OSError) as error:
        yield Finding("keys", f"{error}; {RESTORE if isinstance(error, FileNotFoundError) else REJOIN}")
    if not identity.certified:
        return
    try:
        x509.load_pem_x509_certificate(identity.root.encode())
        load_pair(state, identity)
    except ValueError as error:
        yield Finding("keys", str(error) if isinstance(error, BadKey) else f"{state.identity}: {error}; restore it from a copy")
    except OSError as error:
        yield Finding("keys", f"{error}; {INVITED.format(identity.edge)}")
