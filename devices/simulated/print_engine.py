"""The print engine of a virtual printer: what ippeveprinter runs for every job, with its folder and the document.

It shreds the document first, then does what the folder says, and what it is changed to meanwhile. States go to ippeveprinter
on stderr, see its manual.
"""

import http.client
import os
import struct
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started by its path

from devices.simulated.printer_text import FAULTS, PrinterFolder, PrinterText

POLL_S = 0.05
ASK_MAX_S = 30.0
GET_JOB_ATTRIBUTES = 0x0009
STOPPING = b"processing-to-stop-point"  # a cancelled job's state reason; ippeveprinter leaves ending it to the engine


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def cancelled() -> bool:
    """Ask the printer whether this job was cancelled."""
    printer = os.environ["IPP_JOB_PRINTER_URI"]
    job = struct.pack(">i", int(os.environ["IPP_JOB_ID"]))
    texts = (
        (0x47, "attributes-charset", b"utf-8"), (0x48, "attributes-natural-language", b"en"),
        (0x45, "printer-uri", printer.encode()), (0x21, "job-id", job),
    )  # fmt: skip
    body = struct.pack(">bbHiB", 2, 0, GET_JOB_ATTRIBUTES, 1, 1)
    for tag, name, value in texts:
        body += struct.pack(f">BH{len(name)}sH", tag, len(name), name.encode(), len(value)) + value
    url = urlsplit(printer)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=ASK_MAX_S)
    try:
        connection.request("POST", url.path, body + b"\x03", {"Content-Type": "application/ipp"})
        return STOPPING in connection.getresponse().read()
    except OSError:
        return True  # the printer is gone
    finally:
        connection.close()


def main(directory: str, document: str) -> int:
    Path(document).unlink(missing_ok=True)
    folder, said = PrinterFolder(Path(directory)), ""
    say("STATE: -media-jam,cover-open")  # left by a job that was cancelled in a jam
    while True:
        text = folder.text() or PrinterText()
        fault = FAULTS[text.fault] or ("media-empty" if text.paper <= 0 else "")
        if fault != said:
            if said:
                say(f"STATE: -{said}")
            if fault:
                say(f"STATE: +{fault}")
            said = fault
        if not fault:
            break
        if cancelled():
            return 1
        time.sleep(POLL_S)
    began = time.monotonic()
    while (left_s := began + text.slow_ms / 1000 - time.monotonic()) > 0:
        if cancelled():
            return 1
        time.sleep(min(left_s, POLL_S))
        text = folder.text() or text  # switched off: it is not done by that
    if text.fault == "abort":
        return 1
    say("ATTR: job-impressions-completed=1")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
