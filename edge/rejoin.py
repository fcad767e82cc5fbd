"""Rejoining: ask the hub to admit a successor identity, again and again until a person there has decided."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import structlog

from edge.advice import Diagnosis, waiting_to_rejoin
from edge.enrol import EnrolmentRefused, EnrolmentUnavailable
from edge.examination import keep_diagnosis
from edge.followed import Succession
from edge.identity import NotEnrolled, load_identity
from edge.old_journals import known_digests, old_journals
from edge.rejoin_wire import Following, OldKey, RejoinAnswer, RejoinCall, rejoin_call
from edge.settlement import Held
from edge.state import IdentityFolder, JournalFiles, StateFolder
from edge.succession import read_succession
from edge.tls_pair import load_pair
from security.certificates import der
from security.clock import Clock
from security.invitations import Invitation, enrolment_proof
from security.private_files import read_private
from security.renewal import rejoin_proof_name, sign_renewal
from security.signer import BadKey, Ed25519Signer

POLL_S = 5.0
REFUSED_RETRY_S = 300.0

log = structlog.get_logger()


class Rejoin:
    """Until the machine's newest identity is certified: one after the other, as each speaks for the next. File and network work:
    call `ask` in a thread.
    """

    def __init__(self, state: StateFolder, address: str, clock: Clock) -> None:
        self._state = state
        self._address = address
        self._clock = clock
        self._known: dict[JournalFiles, list[tuple[int, bytes]]] = {}  # asking goes on for days, and a damaged journal is slow
        self.diagnosis: Diagnosis = waiting_to_rejoin(0, "")

    certificate_ends_ms = 0

    def ask(self, invitation: Invitation | None = None) -> int:
        """0 once the hub has admitted it, and that is on disk; else the approval that is waited for.

        Raises EnrolmentRefused, EnrolmentUnavailable, BadKey, NotEnrolled, OSError.
        """
        while pair := self._next():
            if waiting_for := self._ask(*pair, invitation):
                return waiting_for
            invitation = None  # it is used
        return 0

    def _next(self) -> tuple[IdentityFolder, IdentityFolder] | None:
        """The oldest identity that is not certified, behind the one before it. None: a command beside the agent may have been
        quicker.
        """
        identities = self._state.identities()
        return next(((old, new) for old, new in pairwise(identities) if not load_identity(new.identity).certified), None)

    def _ask(self, old: IdentityFolder, new: IdentityFolder, invitation: Invitation | None) -> int:
        succession = read_succession(old, new)
        call = self._call(old, new, succession)
        word = invitation or self._old_key(old)
        answer = rejoin_call(call, self._address, word)
        if answer.waiting_for:
            return answer.waiting_for
        for name, held in self._held(call, answer, word).items():
            held.save(JournalFiles(new, name))  # before the certificate: with that it counts as admitted
        answer.identity.save(new.identity)
        return 0

    async def run(self) -> None:
        """Returns when the hub has admitted it."""
        while True:
            pause_s = POLL_S
            try:
                waiting_for = await asyncio.to_thread(self.ask)
                if not waiting_for:
                    log.warning("admitted with a new identity", folder=str(self._state.current.root))
                    return
                await self._become(waiting_to_rejoin(waiting_for, ""))
            except EnrolmentUnavailable as error:
                await self._become(waiting_to_rejoin(0, str(error)))
            except (EnrolmentRefused, BadKey, NotEnrolled, OSError) as error:
                await self._become(waiting_to_rejoin(0, str(error)))
                pause_s = REFUSED_RETRY_S
            await self._pause(pause_s)

    async def _pause(self, longest_s: float) -> None:
        """Ends when a command beside the agent was quicker."""
        for _ in range(round(longest_s / POLL_S)):
            await asyncio.sleep(POLL_S)
            if await asyncio.to_thread(self._next) is None:
                return

    async def _become(self, diagnosis: Diagnosis) -> None:
        if diagnosis != self.diagnosis:
            log.warning("not admitted yet", text=diagnosis.english)
            await asyncio.to_thread(keep_diagnosis, self._state.diagnosis, diagnosis, self._clock.unix_ms())
        self.diagnosis = diagnosis

    def _call(self, old: IdentityFolder, new: IdentityFolder, succession: Succession) -> RejoinCall:
        csr_der, identities = read_private(new.csr), self._state.identities()
        proof = enrolment_proof(rejoin_proof_name(succession.old_edge), csr_der)
        identity = load_identity(new.identity)
        journals = [self._following(old, name, journal, succession) for name, journal in identity.journals.items()]
        return RejoinCall(
            identity, succession.old_edge, journals, succession.reason, csr_der, Ed25519Signer.load(new.record_key),
            socket.gethostname(), old_journals(identities[:identities.index(new)], proof))

    def _following(self, old: IdentityFolder, name: str, journal: UUID, succession: Succession) -> Following:
        ended, files = succession.journals.get(name), JournalFiles(old, name)
        if ended is None:
            return Following(name, journal)
        if files not in self._known:
            self._known[files] = known_digests(files)
        return Following(name, journal, ended, self._known[files])

    @staticmethod
    def _old_key(old: IdentityFolder) -> OldKey:
        pair = load_pair(old, load_identity(old.identity))
        return OldKey(der(pair.leaf), lambda statement: sign_renewal(pair.key, statement))

    def _held(self, call: RejoinCall, answer: RejoinAnswer, word: OldKey | Invitation) -> dict[str, Held]:
        """By journal's name. The hub gives so many digests at a time, behind the last that it is shown.

        Raises EnrolmentRefused, EnrolmentUnavailable.
        """
        asked = [one for one in call.journals if one.old is not None]
        held = said = {one.name: answer.of(one) for one in asked}
        while any(said[one.name].digests and _goes_on(one, held[one.name]) for one in asked):
            call = replace(call, journals=[replace(one, known=_shown(one, held.get(one.name))) for one in call.journals])
            answer = rejoin_call(call, self._address, word)
            said = {one.name: answer.of(one) for one in asked}
            held = {name: _joined(before, said[name]) for name, before in held.items()}
        return held


def _goes_on(one: Following, held: Held) -> bool:
    """Whether both have more of the old journal than what was said."""
    end = max([one.old.position if one.old else 0, *(at for at, _ in one.known)])
    return held.last < min(held.position, end)


def _shown(one: Following, held: Held | None) -> Sequence[tuple[int, bytes]]:
    return [(held.last, held.digests[-1])] if held is not None and held.digests else one.known


def _joined(held: Held, more: Held) -> Held:
    if more.known != held.last:
        raise EnrolmentRefused("the hub does not know what it said of the old journal; call the city's IT desk")
    return replace(held, digests=[*held.digests, *more.digests])
