"""The printer wire: IPP over HTTP (RFC 8010), a connection for every question, so that nothing stays open."""

import asyncio
import io
import ssl
from collections.abc import Mapping

import aiohttp

from devices import ipp_message
from devices.contract import DeviceFault, DeviceState, DeviceUnavailable
from devices.printer_uri import http_url
from devices.printers import Answer, Value

ANSWER_MAX_S = 8.0
BYTES_PER_S_MIN = 100_000  # a document gets the time that it needs on a line as slow as this
ANSWER_MAX_BYTES = 1024 * 1024
HEADERS = {"Content-Type": "application/ipp", "Accept": "application/ipp", "Accept-Encoding": "identity"}

AWAY = "连接不上打印机。请检查打印机的电源、网线或无线网络，等它开机完成后再试。"
SILENT = "打印机没有应答。请看打印机面板是否提示故障；没有提示就关闭电源再打开。"
NO_ENTRY = "打印机要求登录，本机不能使用。请维护人员在打印机上允许本机打印。"
WANTS_TLS = "打印机只接受加密连接。请维护人员把打印机地址改为 ipps:// 并登记它的证书指纹。"
FOREIGN_CERTIFICATE = "打印机的证书与登记的不同，可能换了打印机。请维护人员核对后重新登记证书指纹。"
NOT_A_PRINTER = "这个地址上没有打印服务。请维护人员检查打印机地址。"


class IppWire:
    """One printer by its URI, "ipp://host[:631]/ipp/print". See `devices.printers.PrinterWire`.

    With ipps:// the certificate must have this SHA-256 `fingerprint` (printers sign their own), without one it must be
    one that the machine trusts. Raises ValueError for a URI that is none.
    """

    def __init__(self, uri: str, fingerprint: bytes | None = None, answer_max_s: float = ANSWER_MAX_S) -> None:
        self._uri = uri
        self._url = http_url(uri)
        self._tls = True if fingerprint is None else aiohttp.Fingerprint(fingerprint)
        self._answer_max_s = answer_max_s

    async def ask(self, operation: int, attributes: Mapping[str, Value | list[str]], document: bytes = b"") -> Answer:
        """See `PrinterWire.ask`."""
        body = ipp_message.request(operation, self._uri, attributes, document)
        try:
            async with asyncio.timeout(self._answer_max_s + len(document) / BYTES_PER_S_MIN):
                status, content = await self._post(body)
        except (aiohttp.ServerFingerprintMismatch, aiohttp.ClientConnectorCertificateError) as error:
            raise DeviceFault(FOREIGN_CERTIFICATE, DeviceState.POTENTIAL_FRAUD) from error
        except TimeoutError as error:
            raise DeviceUnavailable(SILENT) from error
        except (aiohttp.ClientError, ssl.SSLError, OSError) as error:
            raise DeviceUnavailable(AWAY) from error
        return _answer(status, content)

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        """No redirect is followed, nothing unpacked, nothing read beyond the limit. A large document goes in pieces."""
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), auto_decompress=False) as session,
            session.post(self._url, data=io.BytesIO(body), headers=HEADERS, allow_redirects=False, ssl=self._tls) as response,
        ):
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > ANSWER_MAX_BYTES:
                    raise DeviceFault(NOT_A_PRINTER)
            return response.status, bytes(content)


def _answer(status: int, content: bytes) -> Answer:
    if status in (401, 403):
        raise DeviceFault(NO_ENTRY)
    if status == 426:
        raise DeviceFault(WANTS_TLS)
    try:
        if status == 200:
            return ipp_message.answer(content)
    except ipp_message.NotIpp as error:
        raise DeviceFault(NOT_A_PRINTER) from error
    raise DeviceFault(NOT_A_PRINTER)
