"""`suozhan-edge rejoin`: begin a successor identity if there is a reason to, and ask the hub to admit it."""

from __future__ import annotations

from edge.agent_lock import agent_lock
from edge.config import load_config
from edge.identity import load_identity
from edge.journal_end import stop_of
from edge.rejoin import Rejoin
from edge.rejoin_wire import came_of
from edge.start import AlreadyRunning
from edge.state import StateFolder
from edge.succession import SuccessionRefused, begin
from security.clock import Clock
from security.invitations import Invitation


def rejoin_machine(state: StateFolder, token: str, reason: str, clock: Clock) -> str:
    """What to tell the technician. Raises NotEnrolled, BadToken, SuccessionRefused, EnrolmentRefused/-Unavailable, BadKey."""
    invitation = Invitation.from_token(token) if token else None
    identity = load_identity(state.current.identity)
    config = load_config(state.config)
    address = config.hub_enrol_address or identity.enrol_address
    if identity.certified and invitation and came_of(invitation, identity, address):  # the hub's word before anything ends
        return f"This machine has rejoined already by this invitation, as {identity.edge}: there is nothing left to do."
    if identity.certified and not token and state.current.succession.exists() and not (reason or stop_of(state.current)):
        return f"This machine has rejoined already, as {identity.edge}. Give --reason to do it once more."
    if identity.certified:
        _begin(state, reason or ("an invitation to replace it" if token else ""))
        identity = load_identity(state.current.identity)
    waiting_for = Rejoin(state, address, clock).ask(invitation)
    if waiting_for:
        decide = f"suozhan-hub approvals approve {waiting_for} --by NAME --reason TEXT"
        return (f"Request {waiting_for} waits at the hub: somebody there decides with {decide}. Meanwhile the counter works: "
                "suozhan-edge run. The agent asks again by itself, and so does this command.")
    return (f"Admitted as {identity.edge}. What the old journal could not deliver is carried over by the agent: "
            f"suozhan-edge --state {state.root} run")


def _begin(state: StateFolder, reason: str) -> None:
    stopped = stop_of(state.current)
    if not (stopped or reason):
        raise SuccessionRefused("this machine's journal goes on: there is nothing to rejoin for. If its keys may be in other "
                                "hands, or its journal does not open, say so with --reason")
    try:
        with agent_lock(state.lock):
            begin(state, stopped or reason)
    except AlreadyRunning as error:
        raise SuccessionRefused("the agent works in this folder: it begins a new journal by itself when it has to; else stop it "
                                "first") from error
