"""`suozhan-edge doctor`: what is wrong with this machine, and who mends it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence

from edge.agent_lock import agent_works
from edge.alarms import Alarms
from edge.canary import through_the_door
from edge.config import BadConfig, EdgeConfig, load_config
from edge.drafts import CorruptJournal, ForeignJournal, JournalLogLost
from edge.equipment.device_list import devices_of
from edge.finding import Finding
from edge.identity import journals_of, load_identity
from edge.journal_end import stop_of
from edge.journal_store import JournalStore
from edge.keys_check import check_keys
from edge.log_loss import at_stake
from edge.state import BUSINESS, EVENTS, IdentityFolder, JournalFiles, StateFolder
from security.chain import Genesis
from security.clock import Clock
from security.durable_sqlite import DatabaseMissing
from security.file_trouble import without_advice

NAMES = {BUSINESS: "业务日志", EVENTS: "设备事件日志"}
NO_AGENT = "本机代理程序没有运行，柜面无法办理。请运行 suozhan-edge run，或重启本机；仍不行请联系技术人员。"
NO_AGENT_KEEP = ("本机代理程序没有运行，柜面无法办理。请运行 suozhan-edge run（日志找回之前不要重启或关闭本机）；"
                 "仍不行请联系技术人员。")
NO_AGENT_YET = ("本机代理程序没有运行，柜面无法办理。请先处理日志文件（见相应一项），此前不要启动代理程序，也不要重启或关闭本机；"
                "请立即联系技术人员。")
BAD_CONFIG = "{file} 有误，代理程序下次不能启动。请技术人员按提示改正，或移走该文件改用默认设置：{error}"
NO_ROOM = "磁盘剩余空间不足，新业务可能无法受理。请技术人员腾出空间（不要删除本程序的文件夹）。"
ENDED = "业务日志已停止写入。请保留现场，联系市信息中心。"
DAMAGED = ("{name}已损坏（{error}）。请先把本机的数据文件夹整个复制到别处，再启动代理程序（会换新日志并补传原有记录），"
           "并联系市信息中心。")
LOG_LOST = ("{name}的部分文件被移走或清空（{error}）。请不要启动代理程序，不要重启或关闭本机，不要清空隔离区和回收站："
            "请技术人员先把被移走的文件从隔离区或回收站放回原处，再启动代理程序。找不回的，请保留现有文件，按市信息中心的指导处理。")
LOG_LOST_OPEN = ("{name}的部分文件被移走或清空（{error}），代理程序仍打开着该文件。请不要断电、重启本机或强行结束程序："
                 "请技术人员正常停止代理程序，它停止时会自行写回，再启动，并联系市信息中心。")
GONE = "{name}文件不见了（{error}）。请不要重装系统，先在数据文件夹的副本中查找，并联系市信息中心。"
READ_ONLY = ("磁盘处于只读状态（多为磁盘故障），不能写入，柜面无法办理。请先把数据文件夹整个复制到别处，不要重装系统，"
             "再请技术人员检修磁盘。")
BAD_FILE = "{name}无法读取（{error}）。请保留现场，不要重装系统，联系技术人员检查磁盘，并从副本中恢复该文件。"
UNREADABLE = "{name}暂时读不了（{error}）。请检查磁盘空间以及占用该文件的程序；仍不行请联系技术人员。"
KEYS = "密钥或证书有误，代理程序可能不能启动或上传。请保留现场，联系技术人员按提示处理：{error}"


async def examine(state: StateFolder, clock: Clock) -> list[Finding]:
    """All of the machine, from its disk to its devices; what is damaged is told, and the rest looked at. Raises NotEnrolled."""
    current = state.current  # once: an agent may begin a successor meanwhile
    try:
        load_identity(current.identity)
    except OSError as error:
        return [Finding("身份", False, BAD_FILE.format(name="身份文件", error=without_advice(error))), _disk(state, EdgeConfig())]
    config, wrong = _config(state)
    try:
        runs = agent_works(state.lock)
    except OSError as error:
        runs, wrong = False, [*wrong, Finding("代理程序", False, BAD_FILE.format(name="锁文件", error=without_advice(error)))]
    geneses: dict[str, Genesis] = {}
    findings = [*wrong, _disk(state, config or EdgeConfig()), *(await _journals(current, geneses, agent_runs=runs)),
                *_keys(current, geneses), *_alarms(state, clock)]
    if not runs:
        return [*findings, Finding("代理程序", False, _no_agent(state, current))]
    return [*findings, *(await through_the_door(state, config.door_port, clock) if config else [])]


def _no_agent(state: StateFolder, current: IdentityFolder) -> str:
    """That a log was taken away is known until the machine boots again; an agent that is started works without it."""
    if at_stake(current):
        return NO_AGENT_YET
    return NO_AGENT_KEEP if any(map(at_stake, state.identities())) else NO_AGENT


def _config(state: StateFolder) -> tuple[EdgeConfig | None, list[Finding]]:
    """None where nobody can say at which port the door is."""
    config = None
    try:
        config = load_config(state.config)
        devices_of(config)
    except (BadConfig, OSError) as error:
        said = " ".join(str(error).split())
        return config, [Finding("设置", False, BAD_CONFIG.format(file=state.config.name, error=said))]
    return config, []


def _disk(state: StateFolder, config: EdgeConfig) -> Finding:
    if os.statvfs(state.root).f_flag & os.ST_RDONLY:
        return Finding("磁盘", False, READ_ONLY)
    free = shutil.disk_usage(state.root).free
    if free <= config.disk_reserve_bytes:
        return Finding("磁盘", False, NO_ROOM)
    return Finding("磁盘", True, f"剩余 {free // 1024**2} MB")


async def _journals(current: IdentityFolder, geneses: dict[str, Genesis], *, agent_runs: bool) -> list[Finding]:
    """Business always; events only where something is wrong with it, as a running agent tells the rest at its door.
    `geneses` gets whose they are, by name, of those that say it.
    """
    findings = []
    for files in journals_of(current):
        wrong = await _wrong(files, geneses, agent_runs=agent_runs)
        if wrong or files.name == BUSINESS:
            findings.append(Finding(NAMES[files.name], not wrong, wrong or "可以写入"))
    stopped = stop_of(current)
    return [Finding("业务日志", False, f"{ENDED}（{stopped}）")] if stopped else findings


async def _wrong(files: JournalFiles, geneses: dict[str, Genesis], *, agent_runs: bool) -> str:
    """What an agent would find as it opens the journal; "" if nothing. The end of one that is written moves meanwhile."""
    name = NAMES[files.name]
    try:
        async with JournalStore(files.db, quota_bytes=1, readonly=True) as store:
            geneses[files.name] = store.identity.genesis
            head, standing = await store.head(), await store.standing()
            damage = "" if agent_runs else await store.head_damage(head, standing.backed_up)
    except DatabaseMissing as error:
        return GONE.format(name=name, error=error)
    except JournalLogLost as error:
        return (LOG_LOST_OPEN if agent_runs else LOG_LOST).format(name=name, error=error)
    except CorruptJournal as error:
        damage = str(error)
    except (ForeignJournal, sqlite3.Error, OSError) as error:
        return UNREADABLE.format(name=name, error=error)
    return DAMAGED.format(name=name, error=damage) if damage else ""


def _keys(current: IdentityFolder, geneses: Mapping[str, Genesis]) -> list[Finding]:
    return [Finding("密钥", False, KEYS.format(error=one.text)) for one in check_keys(current, geneses)]


def _alarms(state: StateFolder, clock: Clock) -> list[Finding]:
    return [Finding("告警", False, one.hint) for one in Alarms(state.alarms, clock).open_alarms()]


def told(findings: Sequence[Finding]) -> str:
    """Lines for whoever stands before the machine, what is wrong first."""
    wrong = sum(not one.well for one in findings)
    ordered = sorted(findings, key=lambda one: (one.well, not one.look))
    end = f"共 {wrong} 处需要处理，请按提示逐项解决。" if wrong else "全部正常，可以开门办公。"
    return "\n".join([*map(str, ordered), end])
