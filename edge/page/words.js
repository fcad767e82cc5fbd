// Every word that is the same for all machines: kinds, states, commands, fields, spans of time.

export const KINDS = {
  "social-card": "社保卡读卡器", "id-card": "身份证读卡器", "fingerprint": "指纹仪", "barcode": "扫码枪",
  "document": "高拍仪（扫描仪）", "printer": "打印机", "fax": "传真机", "filing-cabinet": "档案柜", "display": "显示屏",
};

// Word, and how it looks: well, busy, look (a person can mend it), bad.
export const STATES = {
  online: ["正常", "well"], deviceBusy: ["使用中", "busy"], userError: ["卡或材料读不了", "look"],
  noDevice: ["没有连接", "bad"], powerOff: ["没有通电", "bad"], offline: ["暂时连不上", "bad"],
  hardwareError: ["故障", "bad"], fraudAttempt: ["疑似被改装", "bad"], potentialFraud: ["疑似伪卡", "bad"],
};

// What can be tried by a press of a button, and by which commands, one after the other.
const TRIALS = {
  "social-card": { "读卡": ["read"] },
  "id-card": { "读身份证": ["read"] },
  "fingerprint": { "比对指纹": ["enrol", "verify"] },
  "barcode": { "扫码": ["read"] },
  "document": { "拍一页": ["scan"], "整叠扫描": ["scan-stack"] },
  "printer": { "打印测试页": ["test-page"] },
};

/** [[word, steps]] of those that a device can do. */
export function trials({ kind, commands }) {
  return Object.entries(TRIALS[kind] ?? {}).filter(([, steps]) => steps.every((step) => commands.includes(step)));
}

const STEPS = { enrol: "采集一个手指", verify: "再按同一个手指" };

/** "第 1 步，共 2 步：…"; "" where there is one only. */
export function stepWord(steps, index) {
  return steps.length > 1 ? `第 ${index + 1} 步，共 ${steps.length} 步：${STEPS[steps[index]]}` : "";
}

/** What a step needs of the one before it. */
export function valuesOf(step, before) {
  return step === "verify" ? { reading: before.reading.id, request: crypto.randomUUID() } : {};
}

export const LINE_STATES = {
  connected: ["已连通", "well"], connecting: ["正在连接", "busy"], unreachable: ["连不上", "bad"], refused: ["被拒绝", "bad"],
};

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** "3 分钟": two units at most, and no seconds that would tick. */
function span(ms) {
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} 分钟`;
  if (ms < DAY) return joined(Math.floor(ms / HOUR), "小时", Math.floor(ms % HOUR / MINUTE), "分");
  return joined(Math.floor(ms / DAY), "天", Math.floor(ms % DAY / HOUR), "小时");
}

/** How long something has been so. */
export function since(unixMs) {
  const ms = Math.max(0, Date.now() - unixMs);
  return ms < MINUTE ? "刚刚" : `已 ${span(ms)}`;
}

function joined(large, largeUnit, small, smallUnit) {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

export const count = (number) => number.toLocaleString("zh-CN");

const MOMENT = new Intl.DateTimeFormat("zh-CN", { month: "long", day: "numeric", hour: "2-digit", minute: "2-digit" });

export const moment = (unixMs) => MOMENT.format(unixMs);
