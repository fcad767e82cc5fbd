"""What can be seen of the hub from here when no stream comes up: does its port answer, is it our hub, what time is it there.

TLS alone cannot tell: with a wrong clock every certificate looks expired. So the chain is verified here without its dates, by
Python's own ssl, and the hub signs its time for a nonce of ours. No secret and no record is sent.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from dataclasses import dataclass

from edge.diagnosis import Reach, Validity
from edge.identity import Identity
from security.statements import TIME_NONCE_BYTES, ForgedStatement, check_time_answer

PROBE_TIMEOUT_S = 5.0
ANSWER_MAX_BYTES = 4096
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL; Python has no name for it


@dataclass(frozen=True, slots=True)
class HubView:
    """See Facts (edge/diagnosis.py), where each of these goes."""

    reach: Reach
    trusted: bool | None = None
    server: Validity | None = None
    hub_ms: int | None = None


def view_hub(identity: Identity, work_address: str, api_address: str) -> HubView:
    """Blocking, some seconds at most; call it in a thread."""
    reach, trusted, server = _look_at(work_address, _datesless(identity))
    if reach is not Reach.ANSWERS or trusted is False:
        return HubView(reach, trusted, server)
    try:
        hub_ms = _ask_time(identity, api_address)
    except (OSError, http.client.HTTPException, ValueError) as error:
        forged = isinstance(error, ForgedStatement | ssl.SSLCertVerificationError)
        return HubView(reach, False if forged else trusted, server)
    return HubView(reach, trusted, server, hub_ms)


def _datesless(identity: Identity) -> ssl.SSLContext:
    """Trusts the hub's root alone, at any time."""
    context = ssl.create_default_context(cadata=identity.root)
    context.verify_flags |= NO_CHECK_TIME
    return context


def _look_at(address: str, context: ssl.SSLContext) -> tuple[Reach, bool | None, Validity | None]:
    context.set_alpn_protocols(["h2"])
    try:
        host, port = _split(address)
        with socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S) as plain:
            try:
                with context.wrap_socket(plain, server_hostname=host) as wrapped:
                    return Reach.ANSWERS, True, _validity(wrapped)
            except ssl.SSLCertVerificationError:
                return Reach.ANSWERS, False, None
            except OSError:  # no TLS, or cut off in the middle of it
                return Reach.ANSWERS, None, None
    except (socket.gaierror, ValueError):  # ValueError: what edge.toml has is no address at all
        return Reach.NO_NAME, None, None
    except ConnectionRefusedError:
        return Reach.CLOSED, None, None
    except TimeoutError:
        return Reach.SILENT, None, None
    except OSError:
        return Reach.NO_ROUTE, None, None


def _validity(wrapped: ssl.SSLSocket) -> Validity | None:
    certificate = wrapped.getpeercert()
    if not certificate:
        return None
    first, last = (ssl.cert_time_to_seconds(str(certificate[name])) for name in ("notBefore", "notAfter"))
    return Validity(first * 1000, last * 1000)


def _ask_time(identity: Identity, address: str) -> int:
    """The hub's time, Unix ms. Raises OSError, HTTPException, ValueError; ForgedStatement when another signed it."""
    host, port = _split(address)
    nonce = os.urandom(TIME_NONCE_BYTES)
    connection = http.client.HTTPSConnection(host, port, timeout=PROBE_TIMEOUT_S, context=_datesless(identity))
    try:
        connection.request("GET", f"/v1/time?nonce={nonce.hex()}")
        answer = json.loads(connection.getresponse().read(ANSWER_MAX_BYTES))
    except RecursionError as error:
        raise ValueError("the answer is no JSON that a hub writes") from error
    finally:
        connection.close()
    match answer:
        case {"unix_ms": int(unix_ms), "signature": str(signature)}:
            check_time_answer(identity.time_verifier(), nonce, unix_ms, bytes.fromhex(signature))
            return unix_ms
    raise ValueError("the answer holds no time; is the hub of the same version?")


def _split(address: str) -> tuple[str, int]:
    """Raises ValueError."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
