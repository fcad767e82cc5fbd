"""Which reader it is that pcscd knows by a name: its maker's serial, from the name or from the reader's driver."""

import asyncio

from devices import pcsc_calls as pcsc
from devices.contract import DeviceIdentity
from devices.reader_names import identity_in, serial_of
from devices.sdk_thread import SdkThread


def identity_of(name: str, connected: int) -> DeviceIdentity:
    """The identity of the reader to which `connected` is a connection. Raises PcscError once it is gone."""
    named = identity_in(name)
    return named if named.serial else DeviceIdentity(named.model, serial_of(pcsc.reader_serial(connected)))


async def ask(name: str) -> DeviceIdentity | None:
    """Ask a reader, with a card in it or without; None when it does not say: it is gone, or another program's alone.

    One that hangs is waited for until cancelled, in a thread that is there only while it is asked.
    """
    named = identity_in(name)
    if named.serial:
        return named
    thread = SdkThread(f"reader identity {name}")
    try:
        return await asyncio.wrap_future(thread.post(lambda: _ask(name)))
    except pcsc.PcscError:
        return None
    finally:
        await thread.stop(0)


def _ask(name: str) -> DeviceIdentity:
    context = pcsc.establish()
    try:
        connected = pcsc.connect_reader(context, name)
        try:
            return identity_of(name, connected)
        finally:
            pcsc.disconnect(connected, reset=False)
    finally:
        pcsc.release(context)
