"""What an HSM would answer that holds the issuer's keys of the virtual cards."""

from devices.card_authentication import Challenge, Proofs, Question
from devices.psam_slot import region_factor
from devices.simulated.card_keys import ISSUER, made_from, proof


async def software(question: Question) -> Proofs:
    """See `devices.remote_authenticator.Ask`."""

    def made(key: bytes, challenge: Challenge) -> bytes:
        card = question.card
        own = made_from(card.algorithm, made_from(card.algorithm, key, region_factor(card)), card.history[-8:])
        return proof(card.algorithm, own, challenge.factor, challenge.source)

    external = made(ISSUER.external, question.external) + question.external.source
    return Proofs(made(ISSUER.internal, question.internal), external)
