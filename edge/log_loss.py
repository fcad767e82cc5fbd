"""A journal's log that was taken away or cut (LogLost, LogLeft): since when records may be lost, and what is told of it."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from pathlib import Path

from edge.drafts import JournalLogLost
from edge.state import BUSINESS, IdentityFolder, JournalFiles
from edge.successors import ENDED_HINT
from security.durable_sqlite import log_left, open_alone
from security.record import parse_record
from security.sqlite_index import lost_log

LATELY = "最近一段时间"
BUSINESS_HINT = ("本机业务日志的部分文件被移走或清空，多为杀毒、清理软件所致，{since}受理的业务可能已经丢失。"
                 "本机改用新日志；办理时如提示“未受理”，请稍候再办。市信息中心答复之前，请不要重启或关闭本机，不要清空隔离区和回收站，"
                 "被移走的文件务必保留；请立即联系市信息中心，并对照纸质材料逐笔核对{since}的业务。")
EVENTS_HINT = ("本机设备事件日志的部分文件被移走或清空，多为杀毒、清理软件所致，{since}的设备事件记录可能已经丢失；"
               "本机已换新日志，业务照常办理。市信息中心答复之前，请不要重启或关闭本机，"
               "不要清空隔离区和回收站，被移走的文件务必保留，并立即联系市信息中心。")

_LAST = "SELECT payload FROM envelopes ORDER BY position DESC LIMIT 1"


def ended_hint(error: Exception, files: JournalFiles) -> str:
    """For the counter, of a journal that did not open. One that an agent has open puts its log back as it is closed."""
    if not isinstance(error, JournalLogLost):
        return ENDED_HINT
    return (BUSINESS_HINT if files.name == BUSINESS else EVENTS_HINT).format(since=_since(files.db))


def at_stake(folder: IdentityFolder) -> bool:
    """Whether a log has to come back, or a file beside its log, before an agent is started or the machine is."""
    return any(lost_log(one.db) or (not one.db.is_file() and log_left(one.db)) for one in folder.journals)


def _since(path: Path) -> str:
    """By the last record that the file alone holds, in the time of this machine's clock."""
    try:
        with closing(open_alone(path)) as db:
            claimed_ms = parse_record(db.execute(_LAST).fetchone()[0]).times.claimed_ms
        return f"{dt.datetime.fromtimestamp(claimed_ms / 1000, dt.UTC).astimezone():%Y-%m-%d %H:%M}之后"
    except (sqlite3.Error, TypeError, ValueError, OverflowError, OSError):
        return LATELY
