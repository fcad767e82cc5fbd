// The list of devices: one card each, in an order that stays, so that nothing jumps from under a finger.

import { drawing, make, sign } from "./drawing.js";
import { Trial } from "./trial.js";
import { KINDS, since, STATES, trials } from "./words.js";

const OFFERED = new Set(["online", "userError"]);

export class Devices {
  #list;
  #command;
  #cards = new Map();

  /** `command(device, name, options)` gives a command. */
  constructor(list, command) {
    this.#list = list;
    this.#command = command;
  }

  /** All of them, and no others. */
  replace(devices) {
    for (const name of this.#cards.keys()) if (!devices.some((one) => one.name === name)) this.remove(name);
    for (const device of devices) this.change(device);
  }

  change(device) {
    if (!this.#cards.has(device.name)) {
      const card = new Card((...order) => this.#command(device.name, ...order));
      this.#cards.set(device.name, card);
      card.show(device);
      const next = [...this.#cards.values()].filter((one) => one !== card).find((one) => before(device, one.device));
      this.#list.insertBefore(card.element, next?.element ?? null);
    } else {
      this.#cards.get(device.name).show(device);
    }
    this.#cards = new Map([...this.#cards].sort(([, one], [, other]) => (before(one.device, other.device) ? -1 : 1)));
  }

  remove(name) {
    this.#cards.get(name)?.element.remove();
    this.#cards.delete(name);
  }

  /** Times go on. */
  tick() {
    for (const card of this.#cards.values()) card.tick();
  }

  get all() {
    return [...this.#cards.values()].map((card) => card.device);
  }
}

const ORDER = Object.keys(KINDS);
const place = (device) => [ORDER.indexOf(device.kind) < 0 ? ORDER.length : ORDER.indexOf(device.kind), device.name];

function before(one, other) {
  const [kind, name] = place(one), [otherKind, otherName] = place(other);
  return kind < otherKind || (kind === otherKind && name < otherName);
}

const unseen = (device) => device.reasons.includes("unseen"); // nobody has looked at it yet: the agent has just begun

export const ailing = (device) => device.diagnosis !== "" && device.state !== "deviceBusy" && !unseen(device);
export const kindWord = (device) => KINDS[device.kind] ?? device.kind;

/** Word and look. A printer without paper is online, and yet somebody has to do something. */
function stateOf(device) {
  if (unseen(device)) return ["正在检查", "busy"];
  const [word, look] = STATES[device.state] ?? [device.state, "bad"];
  return look === "well" && ailing(device) ? ["需要处理", "look"] : [word, look];
}

class Card {
  constructor(command) {
    this.trial = new Trial(command);
    this.state = make("span.state");
    this.since = make("span.since");
    this.diagnosis = make("p.diagnosis");
    this.facts = make("dl.facts");
    this.head = make("div.names");
    this.picture = make("div.picture");
    this.element = make("li.device",
      make("div.head", this.picture, this.head, make("div.standing", this.state, this.since)),
      this.diagnosis, make("div.foot", this.facts, this.trial.buttons), this.trial.said);
    this.element.addEventListener("keydown", ({ key }) => key === "Escape" && this.trial.cancel());
  }

  show(device) {
    this.device = device;
    const [word, look] = stateOf(device);
    this.element.className = `device ${look}`;
    this.picture.replaceChildren(drawing(device.kind));
    this.head.replaceChildren(make("h3", kindWord(device)), make("p.name", device.name, device.simulated ? make("span.simulated", "模拟设备") : ""));
    this.state.className = `state ${look}`;
    this.state.replaceChildren(sign(look), make("span", word));
    this.diagnosis.textContent = device.diagnosis;
    this.diagnosis.hidden = device.diagnosis === "";
    this.facts.replaceChildren(...[
      ["使用者", device.user], ["型号", device.model === device.name ? "" : device.model], ["序列号", device.serial],
    ].filter(([, text]) => text).map(([label, text]) => make("div", make("dt", label), make("dd", text))));
    this.trial.offer(trials(device), OFFERED.has(device.state));
    this.tick();
  }

  tick() {
    const text = this.device.user ? "" : since(this.device.since_ms);
    if (this.since.textContent !== text) this.since.textContent = text;
  }
}
