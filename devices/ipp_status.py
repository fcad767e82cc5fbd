"""What a printer's IPP attributes mean: state, reasons and supplies, in the words of the driver contract.

Reasons: RFC 8011 (5.4.12) and PWG 5100.9. Supplies: PWG 5100.13 (printer-supply) or CUPS' marker-*.
"""

import re

from devices.contract import REASONS_MAX, DeviceIdentity, DeviceState
from devices.ipp_message import first, numbers, texts
from devices.paper import COVER_OPEN, PAPER_JAMMED, PAPER_LOW, PAPER_OUT, TONER_LOW, TONER_OUT
from devices.printers import Attributes, PrinterStatus, Supply

ASKED = [
    "printer-state", "printer-state-reasons", "printer-is-accepting-jobs", "queued-job-count", "printer-make-and-model",
    "printer-device-id", "printer-uuid", "document-format-supported", "printer-supply", "printer-supply-description",
    "marker-names", "marker-types", "marker-levels",
]  # fmt: skip
PDF = "application/pdf"
ANY_FORMAT = "application/octet-stream"
IDLE, PROCESSING, STOPPED = 3, 4, 5
OFFLINE, PAUSED = "offline", "paused"
REASONS = {
    "media-jam": PAPER_JAMMED, "cover-open": COVER_OPEN, "door-open": COVER_OPEN, "interlock-open": COVER_OPEN,
    "media-empty": PAPER_OUT, "media-needed": PAPER_OUT, "input-tray-missing": "trayMissing",
    "toner-empty": TONER_OUT, "marker-supply-empty": TONER_OUT, "marker-waste-full": "wasteFull",
    "output-area-full": "outputFull", "spool-area-full": "memoryFull", "shutdown": OFFLINE, "offline": OFFLINE,
    "timed-out": OFFLINE, "connecting-to-device": OFFLINE, "paused": PAUSED, "moving-to-paused": PAUSED,
    "media-low": PAPER_LOW, "toner-low": TONER_LOW, "marker-supply-low": TONER_LOW,
    "marker-waste-almost-full": "wasteAlmostFull", "output-area-almost-full": "outputAlmostFull",
}  # fmt: skip
RANK = {reason: rank for rank, reason in enumerate(dict.fromkeys(REASONS.values()))}
BLOCKING_MAX = RANK[PAUSED]  # with a worse reason than this nothing comes out
SEVERITY = re.compile(r"-(report|warning|error)$")
SERIAL_KEYS = ("SN", "SERN", "SERIALNUMBER")
WASTE = re.compile(r"waste", re.IGNORECASE)
TEXT_MAX_CHARS = 64


def status_of(attributes: Attributes) -> PrinterStatus:
    """Whatever the printer leaves out is unknown, never guessed."""
    reasons = reasons_of(texts(attributes, "printer-state-reasons"))
    formats = texts(attributes, "document-format-supported")
    return PrinterStatus(
        state=_state(first(attributes, "printer-state"), reasons),
        identity=DeviceIdentity(_text(attributes, "printer-make-and-model"), _serial(attributes)),
        reasons=reasons,
        supplies=_supplies(attributes) or _markers(attributes),
        accepts_jobs=first(attributes, "printer-is-accepting-jobs") is not False,
        prints_pdf=PDF in formats,
        queued=next(iter(numbers(attributes, "queued-job-count")), 0),
    )


def reasons_of(keywords: list[str]) -> tuple[str, ...]:
    """The worst first, each once, in our words; one we have no word for stays itself ("fuser-over-temp": fuserOverTemp)."""
    bare = [SEVERITY.sub("", keyword)[:TEXT_MAX_CHARS] for keyword in keywords]
    words = dict.fromkeys(REASONS.get(word) or _camel(word) for word in bare if word not in ("", "none"))
    return tuple(sorted(words, key=lambda word: RANK.get(word, BLOCKING_MAX + 0.5)))[:REASONS_MAX]


def blocking(reasons: tuple[str, ...]) -> tuple[str, ...]:
    """Those with which nothing comes out of the printer."""
    return tuple(reason for reason in reasons if RANK.get(reason, len(RANK)) <= BLOCKING_MAX)


def _state(said: object, reasons: tuple[str, ...]) -> DeviceState:
    if OFFLINE in reasons:
        return DeviceState.OFFLINE
    if said == STOPPED:
        return DeviceState.USER_ERROR if {COVER_OPEN, PAUSED} & set(reasons) else DeviceState.HARDWARE_ERROR
    return DeviceState.DEVICE_BUSY if said == PROCESSING else DeviceState.ONLINE


def _serial(attributes: Attributes) -> str:
    """From the IEEE 1284 device id; the UUID, which is the printer's own, too, where there is none."""
    pairs = (pair.partition(":") for pair in _text(attributes, "printer-device-id", 1024).split(";"))
    known = {key.strip().upper(): value.strip() for key, _, value in pairs}
    found = next((known[key] for key in SERIAL_KEYS if known.get(key)), "")
    return found[:TEXT_MAX_CHARS] or _text(attributes, "printer-uuid").removeprefix("urn:uuid:")


def _supplies(attributes: Attributes) -> tuple[Supply, ...]:
    names = texts(attributes, "printer-supply-description")
    supplies = []
    for place, text in enumerate(texts(attributes, "printer-supply")):
        pairs = (pair.partition("=") for pair in text.split(";"))
        known = {key.strip().lower(): value.strip() for key, _, value in pairs}
        name = names[place] if place < len(names) else known.get("colorantname", "")
        level, full = _number(known.get("level", "")), _number(known.get("maxcapacity", ""))
        supplies.append(
            Supply(name, known.get("type", ""), _percent(level, full), known.get("class") == "receptacleThatIsFilled")
        )
    return tuple(supplies)


def _markers(attributes: Attributes) -> tuple[Supply, ...]:
    names, kinds = texts(attributes, "marker-names"), texts(attributes, "marker-types")
    return tuple(
        Supply(name, kind, _percent(level, 100), bool(WASTE.search(kind)))
        for name, kind, level in zip(names, kinds, numbers(attributes, "marker-levels"), strict=False)
    )


def _percent(level: int | None, full: int | None) -> int | None:
    """Negative: unknown, or "some" (PWG 5100.13, prtMarkerSuppliesLevel)."""
    if level is None or full is None or level < 0 or full <= 0:
        return None
    return min(100 * level // full, 100)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def _text(attributes: Attributes, name: str, longest: int = TEXT_MAX_CHARS) -> str:
    return next(iter(texts(attributes, name)), "")[:longest]


def _camel(keyword: str) -> str:
    head, *rest = keyword.split("-")
    return head + "".join(part.capitalize() for part in rest)
