"""The printer wire against whoever may sit at an address: strangers, the silent, the endless, and other certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devices.contract import DeviceError, DeviceFault, DeviceState, DeviceUnavailable
from devices.ipp import ANSWER_MAX_BYTES, IppWire
from devices.printer import PrinterDriver

ANSWER_MAX_S, SILENT_MAX_S = 30.0, 0.3
GOOD = b"\x02\x00\x00\x00\x00\x00\x00\x01\x04\x23\x00\x0dprinter-state\x00\x04\x00\x00\x00\x03\x03"
LARGE = GOOD[:-1] + (b"\x41\x00\x01a\x10\x00" + bytes(4096)) * (ANSWER_MAX_BYTES // 4096) + b"\x03"  # whole, but endless


def http(body: bytes, status: str = "200 OK", length: int | None = None, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n{more}\r\n"
    return head.encode() + body


@asynccontextmanager
async def at(answer: bytes, tls: ssl.SSLContext | None = None, silent: bool = False) -> AsyncIterator[int]:
    """Somebody at an address who says `answer` to whatever he is asked, then hangs up, or does not."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if silent:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "silent", "kind"),
    [
        (http(GOOD), False, None),
        (http(b"<html>"), False, DeviceFault),
        (http(b"", "404 Not Found"), False, DeviceFault),
        (http(b"\xff\xfe", "500 Oops"), False, DeviceFault),
        (http(b"", "401 Unauthorized"), False, DeviceFault),
        (http(b"", "426 Upgrade Required"), False, DeviceFault),
        (http(b"", "302 Found", more="Location: http://127.0.0.1:1/\r\n"), False, DeviceFault),
        (http(GOOD, "404 Not Found"), False, DeviceFault),
        (http(LARGE), False, DeviceFault),
        (http(GOOD, length=500), False, DeviceUnavailable),
        (http(GOOD, length=500), True, DeviceUnavailable),
        (b"", False, DeviceUnavailable),
        (b"", True, DeviceUnavailable),
        (b"\0" * 100, False, DeviceUnavailable),
    ],
)
def test_strangers_at_the_address_are_one_of_the_endings_and_leave_nothing_open(
    answer: bytes, silent: bool, kind: type[DeviceError] | None
) -> None:
    async def act() -> None:
        async with at(answer, silent=silent) as port:
            limit_s = SILENT_MAX_S if silent else ANSWER_MAX_S
            driver = PrinterDriver(IppWire(f"ipp://127.0.0.1:{port}/ipp/print", answer_max_s=limit_s), "x")
            if kind is None:
                async with driver:
                    assert (await driver.read()).data.state is DeviceState.ONLINE
            else:
                with pytest.raises(kind):
                    await driver.__aenter__()
                assert (await driver.probe()).state is not DeviceState.ONLINE

    asyncio.run(act())


def certificate(folder: Path) -> tuple[ssl.SSLContext, bytes]:
    """Signed by itself, as printers do; and its fingerprint."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    begin = datetime.now(UTC) - timedelta(days=1)
    own = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(begin).not_valid_after(begin + timedelta(days=9)).sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "printer.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + own.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, sha256(own.public_bytes(Encoding.DER)).digest()


def test_a_printer_is_known_by_the_fingerprint_of_its_certificate(tmp_path: Path) -> None:
    async def act() -> None:
        tls, fingerprint = certificate(tmp_path)
        async with at(http(GOOD), tls) as port:
            uri = f"ipps://127.0.0.1:{port}/ipp/print"
            assert (await PrinterDriver(IppWire(uri, fingerprint, ANSWER_MAX_S), "x").probe()).state is DeviceState.ONLINE
            for wrong in (bytes(32), None):
                with pytest.raises(DeviceFault, match="证书"):
                    await PrinterDriver(IppWire(uri, wrong, ANSWER_MAX_S), "x").__aenter__()
            plain = IppWire(f"ipp://127.0.0.1:{port}/ipp/print", answer_max_s=ANSWER_MAX_S)
            assert (await PrinterDriver(plain, "x").probe()).state is DeviceState.OFFLINE

    asyncio.run(act())


@pytest.mark.parametrize(
    "uri", ["http://x/", "ipp:///x", "x", "ipp://user@x/", "ipp://x/?y=z", "ipp://x/#y", "ipp://x:99999/", ""]
)
def test_an_address_that_is_none_is_refused_at_once(uri: str) -> None:
    with pytest.raises(ValueError, match=r"ipp://|Port"):
        IppWire(uri)


def test_an_address_in_either_form_has_a_port_and_a_path() -> None:
    assert IppWire("ipp://printer.local")._url == "http://printer.local:631/"
    assert IppWire("ipps://[fe80::1]:632/ipp/print")._url == "https://[fe80::1]:632/ipp/print"
