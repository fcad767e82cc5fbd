// The door of the agent, as this page uses it: a token, single calls, and a WebSocket.

const TOKEN = "suozhan-token";
const WINDOW = "设备页";
const CALL_MAX_MS = 5000;
const NOT_ALLOWED = 1008;

/** The door said no: `message` is Chinese and says what to do. */
export class Refused extends Error {
  constructor(status, error) {
    super(error?.message ?? "本机服务程序没有接受请求，请刷新页面后再试。");
    this.status = status;
  }
}

export const paired = () => localStorage.getItem(TOKEN) !== null;
export const forget = () => localStorage.removeItem(TOKEN);

/** A one-time code for a token, which this browser keeps. Throws Refused, or TypeError when nobody answers. */
export async function pair(code) {
  const { token } = await call("/v1/pair", { method: "POST", body: JSON.stringify({ code }), headers: { "Content-Type": "application/json" } });
  localStorage.setItem(TOKEN, token);
}

/** The JSON answer of the door. Throws Refused, or TypeError or DOMException when nobody answers. */
export async function call(path, { headers = {}, ...options } = {}) {
  const token = localStorage.getItem(TOKEN);
  const authorization = token === null ? {} : { Authorization: `Bearer ${token}` };
  const answer = await fetch(path, { ...options, headers: { ...authorization, ...headers }, signal: AbortSignal.timeout(CALL_MAX_MS) });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.error);
  return body;
}

/** A window at the door. `hear` is told: open(devices), changed(device), removed(device), closed(refused). */
export class Live {
  #hear;
  #socket = null;
  #ids = 0;
  #underWay = new Map();

  constructor(hear) {
    this.#hear = hear;
  }

  open() {
    if (this.#socket) return;
    const socket = new WebSocket(`ws://${location.host}/v1/events`);
    this.#socket = socket;
    socket.onopen = () => this.#say({ type: "hello", token: localStorage.getItem(TOKEN) ?? "", window: WINDOW });
    socket.onmessage = ({ data }) => this.#heard(JSON.parse(data));
    socket.onclose = ({ code }) => this.#closed(code);
  }

  /** Nothing more is heard of it, not even its end. */
  close() {
    const socket = this.#socket;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#end();
  }

  /** Resolves to its completion; `told` gets the events on the way. A connection that breaks ends it with status "lost". */
  command(device, name, { timeout_s, values = {}, told }) {
    const id = String(++this.#ids);
    const ended = new Promise((end) => this.#underWay.set(id, { told, end }));
    if (this.#socket?.readyState === WebSocket.OPEN) this.#say({ type: "command", id, device, name, timeout_s, values });
    else this.#heard({ type: "completion", id, status: "lost" });
    return { ended, cancel: () => this.#underWay.has(id) && this.#say({ type: "cancel", id }) };
  }

  #say(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #heard(message) {
    const command = this.#underWay.get(message.id);
    switch (message.type) {
      case "welcome": return this.#hear.open(message.devices);
      case "unsolicited": return message.name === "device.removed" ? this.#hear.removed(message.device) : this.#hear.changed(message.device);
      case "event": return command?.told(message);
      case "completion":
        this.#underWay.delete(message.id);
        return command?.end(message);
    }
  }

  #closed(code) {
    this.#end();
    this.#hear.closed(code === NOT_ALLOWED);
  }

  #end() {
    this.#socket = null;
    for (const id of [...this.#underWay.keys()]) this.#heard({ type: "completion", id, status: "lost" });
  }
}
