"""A hub that is older than a machine, after a restore: what the machine holds reaches the site's ledger all the same."""

from __future__ import annotations

from uuid import UUID

from edge.identity import load_identity
from edge.old_journals import old_journals
from edge.succession import begin
from hub.enrolment.tables import edges
from security.chain import Genesis
from security.signer import Ed25519Signer
from tests.station import Station


def test_what_is_carried_out_of_journals_that_the_hub_forgot_is_shown(station: Station) -> None:
    """Invariant 3."""
    station.say("a1", "a2", deliver=True)
    station.say("a3")
    successor = begin(station.state, "the hub forgot it")
    identity, signer = load_identity(successor.identity), Ed25519Signer.load(successor.record_key)
    genesis = Genesis(identity.edge_id, UUID(identity.journal), signer.suite, signer.public_key, station.journal_id)
    station.forget()
    [old] = old_journals([station.state], b"")
    station.own.succeed("business", genesis, "A01", {"by": "周敏", "reason": "restored"}, [old.genesis])
    with station.engine.begin() as connection:
        connection.execute(edges.insert().values(edge=str(station.edge_id), site="A01", machine="", enrolled_ms=1))
    station.rejoin(successor)
    assert station.shown() == [2, 3, 5]
    station.check_ledger()
