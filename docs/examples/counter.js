// A counter program's side of the agent's door: pair, open a window, have a device do something, submit a transaction.
// An ES module without dependencies; docs/counter-api.md explains each step, and the tests run this file as it is.
//
//   const counter = new Counter({ token: localStorage.getItem("token") });
//   if (!counter.token) localStorage.setItem("token", await counter.pair(code));
//   const devices = await counter.open("窗口1", { changed: (device) => show(device) });
//   const command = counter.command(devices[0].name, "read", { told: (event) => show(event.hint) });
//   const { reading } = await command.ended; // or command.cancel()
//   await counter.submit({ id: "window1-20261121-0007", item: "003-21", …, readings: [reading.id] });

const TRIES = 5;
const PAUSE_MS = 1000;

/** The door said no. `message` is Chinese, for the person at the counter; `code` is for the program. */
export class Refused extends Error {
  constructor({ code, message, details = [] }, status = 0) {
    super(message);
    Object.assign(this, { code, details, status });
  }
}

export class Counter {
  #socket = null;
  #name = "柜面程序";
  #number = 0;
  #underWay = new Map();

  constructor({ door = "http://127.0.0.1:8471", token = null } = {}) {
    this.door = door;
    this.token = token;
  }

  /** A technician's one-time code for a token, to be kept. It works from this page's origin only. */
  async pair(code) {
    this.token = (await this.call("POST", "/v1/pair", { code })).token;
    return this.token;
  }

  /** One call. `body` is a message, or a Blob as it is. Throws Refused, or TypeError when no agent answers. */
  async call(method, path, body) {
    const raw = body instanceof Blob;
    const headers = { "Content-Type": raw ? body.type : "application/json" };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const answer = await fetch(this.door + path, { method, headers, body: raw ? body : body && JSON.stringify(body) });
    const said = await answer.json();
    if (!answer.ok) throw new Refused(said.error, answer.status);
    return said;
  }

  /** A window of that name, which others read when it uses a device. Resolves to the devices. */
  open(name, { changed = () => {}, closed = () => {} } = {}) {
    this.#name = name;
    return new Promise((opened, failed) => {
      const socket = this.#socket = new WebSocket(`${this.door.replace("http", "ws")}/v1/events`);
      socket.onopen = () => this.#say({ type: "hello", token: this.token, window: name });
      socket.onmessage = ({ data }) => this.#heard(JSON.parse(data), opened, changed);
      socket.onclose = ({ code }) => {
        failed(new Error(`closed: ${code}`)); // 1008: pair again; nothing happens where the window was open
        for (const { lost } of this.#underWay.values()) lost(new Error("the agent went away: open the window again"));
        this.#underWay.clear();
        closed(code);
      };
    });
  }

  close() {
    this.#socket?.close();
  }

  /** `ended` resolves to the completion, whatever its status, and rejects where no window is open, or it closes meanwhile;
   *  `told` hears what the person has to do meanwhile. */
  command(device, name, { told = () => {}, timeout_s = 60, values = {} } = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) { // a closed WebSocket takes what is said, and nobody ever answers
      return { ended: Promise.reject(new Error("no window is open: open it again")), cancel: () => {} };
    }
    const id = String(++this.#number);
    const ended = new Promise((end, lost) => this.#underWay.set(id, { end, lost, told }));
    this.#say({ type: "command", id, device, name, timeout_s, values });
    return { ended, cancel: () => this.#say({ type: "cancel", id }) };
  }

  /** A PDF of up to 64 MiB, a Blob of that type, to its printed end; `document` shows on the printer: nobody's data. */
  print(device, pdf, { window = this.#name, document = "Suozhan", timeout_s = 60 } = {}) {
    const asked = new URLSearchParams({ window, document, timeout_s });
    return this.call("POST", `/v1/devices/${encodeURIComponent(device)}/pdf?${asked}`, pdf);
  }

  /** Stored once, however often it is said: no answer, or a full disk, and the same is said again under the same id. */
  async submit(transaction) {
    for (let left = TRIES; ; left -= 1) {
      try {
        return await this.call("POST", "/v1/transactions", transaction);
      } catch (error) {
        if (left === 1 || (error instanceof Refused && error.status !== 503)) throw error;
        await new Promise((go) => setTimeout(go, PAUSE_MS));
      }
    }
  }

  #say(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #heard(message, opened, changed) {
    const command = this.#underWay.get(message.id);
    switch (message.type) {
      case "welcome":
        opened(message.devices);
        break;
      case "unsolicited":
        changed(message.device, message.name);
        break;
      case "event":
        command?.told(message);
        break;
      case "completion":
        this.#underWay.delete(message.id);
        command?.end(message);
        break;
    }
  }
}
