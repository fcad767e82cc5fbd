// The machine itself: its line, its queue, its alarms.

import { make, sign } from "./drawing.js";
import { count, LINE_STATES, moment, since } from "./words.js";

const EVENTS_STOPPED = "设备事件日志暂不能写入，设备事件暂不记录，业务照常办理。请联系市信息中心。";
const TEN_DAYS_MS = 10 * 24 * 3600 * 1000;

export class Machine {
  state = null;
  #parts;

  /** `parts`: elements to fill. */
  constructor(parts) {
    this.#parts = parts;
  }

  show(state) {
    this.state = state;
    this.tick();
  }

  /** Only what reads otherwise is drawn anew: whoever is being read to is not interrupted. */
  tick() {
    if (!this.state) return;
    const { line, queue, alarms, alarmList } = this.#parts;
    put(line, lineParts(this.state));
    put(queue, queueParts(this.state));
    put(alarmList, this.state.alarms.map(alarmPart));
    alarms.hidden = this.state.alarms.length === 0;
  }
}

const shown = new WeakMap();

/** Only what reads otherwise is drawn anew. */
export function put(element, parts) {
  const next = make("div", ...parts), html = next.innerHTML;
  if (shown.get(element) === html) return;
  shown.set(element, html);
  element.replaceChildren(...next.childNodes);
}

function lineParts({ line, certificate_ends_ms: ends }) {
  const [word, look] = LINE_STATES[line.state];
  const parts = [make("p.big", make(`span.state.${look}`, sign(look), make("span", word)), make("span.since", since(line.since_ms))),
    make("p", line.hint)];
  if (ends && ends - Date.now() < TEN_DAYS_MS) parts.push(make("p", "本机证书即将到期，连通后会自动更新。"));
  return parts;
}

function queueParts({ events, ...business }) {
  const parts = businessParts(business);
  if (events?.stopped) parts.push(make("p.outcome.look", sign("look"), make("span", EVENTS_STOPPED)));
  else if (events?.queued) parts.push(make("p.note", `另有 ${count(events.queued)} 条设备事件等待上传，排在业务之后。`));
  return parts;
}

function businessParts({ queued, acknowledged, oldest_queued_ms: oldest }) {
  if (!queued) {
    return [make("p.big", acknowledged ? "全部已上传" : "没有等待上传的记录"),
      make("p", acknowledged ? `市中心已收到 ${count(acknowledged)} 条记录。` : "本机还没有办理过业务。")];
  }
  const waited = oldest ? `最早一条：${since(oldest)}。` : "";
  return [make("p.big", `${count(queued)} 条等待上传`),
    make("p", `${waited}记录已安全保存在本机，线路通了会自动上传。请勿清理硬盘或重装系统。`),
    make("p", `市中心已收到 ${count(acknowledged)} 条。`)];
}

function alarmPart({ hint, text, kind, raised_ms: raised }) {
  const more = make("details", make("summary", "给技术人员看"), make("p.technical", `${kind}: ${text}`));
  return make("li", make("p.outcome.bad", sign("bad"), make("span", hint)), make("p.since", `${moment(raised)}起`), more);
}
