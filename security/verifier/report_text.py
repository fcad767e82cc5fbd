"""A report of a bundle in words, for an auditor."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from security.bundle.coverage import Covered, How
from security.bundle.journal_check import CoveredJournal
from security.bundle.report import Report

LINES_MAX = 40  # of one range
RANGES_MAX = 40  # of one journal
YEAR_10000_MS = 253_402_300_800_000  # dates end before it

_NOT_PROVED = """\
What no bundle proves: what sealed bodies say; that there is nothing beside the positions listed; when a record arrived, and its
place in the ledger, unless it has its own proof; that the times which a machine claims are right; that the exporter's certificate
was not revoked."""


def text_of(report: Report, now_ms: int) -> Iterator[str]:
    """Line by line."""
    yield _verdict(report)
    yield ""
    yield from _exporter(report, now_ms)
    yield from _log(report)
    for journal in report.journals:
        yield ""
        yield from _journal(report, journal)
    yield ""
    yield _NOT_PROVED


def _verdict(report: Report) -> str:
    if report.refusal is None:
        condition = "PROVED" if report.trust.pin is not None else "PROVED, if the pin of the root below is the right one"
        return f"{condition}: all {report.entries} records in this bundle, as listed below."
    return f"NOT PROVED, first at {report.refusal}\n{_made(report)}"


def _made(report: Report) -> str:
    if report.signed:
        return ("The file is what its exporter signed: it was wrong when it was made. What is listed below was proved before "
                "that line.")
    if report.trust.log_key is not None:
        return ("The file is not what its exporter signed. What is listed below and has a proof stands under the log key that "
                "you gave; everything else is nobody's word.")
    return ("The file is not what its exporter signed, or nobody can tell who that is. Whose keys are in it rests on that "
            "signature: take nothing below as proved. It shows where the file goes wrong.")


def _exporter(report: Report, now_ms: int) -> Iterator[str]:
    header, exporter = report.header, report.exporter
    if header is None or exporter is None:
        return
    who = f"hub {header.hub}" if exporter.edge is None else f"machine {exporter.edge} of hub {header.hub}"
    yield f"Exported by {who}, {_time(header.exported_ms)} by its own clock."
    yield f"  For {header.by!r}, because {header.reason!r}. Asked for: {header.scope}."
    yield f"  Signature over the whole file: {'holds' if report.signed else 'DOES NOT HOLD'}."
    first, last = exporter.valid_ms
    yield f"  Certificate: {_time(first)} to {_time(last)}{_validity(header.exported_ms, exporter.valid_ms, now_ms)}."
    if report.trust.pin is None:
        yield f"  Root key, pin {exporter.pin.hex()}"
        yield "    NOT CHECKED: whoever made the file chose the root in it. Compare it with the pin that the hub's office gave"
        yield "    you by another way, or give that one as --pin."
    else:
        yield f"  Root key, pin {exporter.pin.hex()}: the one that you gave."


def _validity(exported_ms: int, valid_ms: tuple[int, int], now_ms: int) -> str:
    if not valid_ms[0] <= exported_ms <= valid_ms[1]:
        return "; NOT VALID when the file was made, as its clock says (a machine that was away for long, or a wrong clock)"
    return "; it has expired since, which changes nothing" if now_ms > valid_ms[1] else ""


def _log(report: Report) -> Iterator[str]:
    if report.header is None:
        return
    known = "the one that you gave" if report.trust.log_key else "as the exporter names it; give yours as --log-key"
    yield f"Log key {report.header.log_key}: {known}."
    expected = 1
    for epoch in report.epochs:
        if epoch.number > expected:
            yield (f"  NOT HERE: what the hub stated of epochs {expected} to {epoch.number - 1}. It lost that in a restore, or "
                   "leaves it out: ask which.")
        expected = epoch.number + 1
        before = "" if epoch.last_size is None else f"; {epoch.last_size} entries had been signed before it"
        yield f"  Epoch {epoch.number} begins {_time(epoch.opened_ms)} with {epoch.base_size} entries{before}."
    if report.checkpoint is not None:
        yield (f"  Newest checkpoint: {report.checkpoint.origin}, {report.checkpoint.size} entries, "
               f"root {report.checkpoint.root.hex()}, signed by the log key.")


def _journal(report: Report, one: CoveredJournal) -> Iterator[str]:
    journal = one.journal
    own = report.header is not None and journal.journal == report.header.hub
    yield f"Journal {journal.journal}, the hub's own" if own else f"Journal {journal.journal} of machine {journal.edge}"
    if journal.predecessor is not None:
        yield f"  It follows journal {journal.predecessor}."
    yield f"  Signed by key {one.key_id.hex()}: {_key(report, one, own=own)}"
    for covered in one.ranges[:RANGES_MAX]:
        yield from _range(covered)
    if len(one.ranges) > RANGES_MAX:
        rest = one.ranges[RANGES_MAX:]
        yield f"  {len(rest)} more ranges, from position {_first(rest)} on; --json lists them."


def _key(report: Report, one: CoveredJournal, *, own: bool) -> str:
    if one.registration is not None:
        return (f"registered for this machine at site {one.registration.site} in position {one.registration.position} of the "
                "hub's own journal")
    if own:
        return "the exporter's word"
    same = report.exporter is not None and report.exporter.edge == one.journal.edge
    return f"the word of {'this machine' if same else 'ANOTHER machine'}, its registration is not in this bundle"


def _first(ranges: Sequence[Sequence[Covered]]) -> int:
    return next((covered[0].first for covered in ranges if covered), 0)


def _range(covered: Sequence[Covered]) -> Iterator[str]:
    if not covered:
        return
    whole = not any(one.how in {How.PRUNED, How.LOST, How.HOLE} for one in covered)
    chain = "Chain without gap from" if whole else "Not all records are here, from"
    yield f"  {chain} position {covered[0].first} to {covered[-1].last}, each record under its own signature:"
    for one in covered[:LINES_MAX]:
        yield f"    {_places(one)}: {_how(one)}"
    if len(covered) > LINES_MAX:
        yield f"    … and {len(covered) - LINES_MAX} more such lines; --json lists them."


def _places(one: Covered) -> str:
    return f"position {one.first}" if one.first == one.last else f"positions {one.first} to {one.last}"


def _how(one: Covered) -> str:
    match one.how:
        case How.OWN | How.RECEIPT:
            each = "" if one.first == one.last else "each "
            what = "proved by its own proof" if one.how is How.OWN else "proved by its receipt, though not here"
            return f"{each}{what}: {_span('index', one.index)}, {_span('arrived', one.arrived_ms, times=True)}"
        case How.CHAIN:
            return f"by the chain to position {one.to}"
        case How.SIGNED:
            return "signed, but not shown to be in the ledger"
        case How.HOLE:
            return f"a hole: lost, and accepted in position {one.to} of the hub's own journal"
        case How.PRUNED:
            return "not here: delivered to the hub before, says the machine"
        case How.LOST:
            return "LOST at the machine, as it says"


def _span(name: str, span: tuple[int, int], *, times: bool = False) -> str:
    first, last = (_time(one) if times else str(one) for one in span)
    return f"{name} {first}" if first == last else f"{name} {first} to {last}"


def _time(unix_ms: int) -> str:
    if unix_ms >= YEAR_10000_MS:
        return f"{unix_ms} ms after 1970"
    return dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
