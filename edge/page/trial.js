// "Try it": a command or two to one device, with what the person has to do, a way out, and the masked result.

import { make, sign } from "./drawing.js";
import { outcome, PERSONAL, rows, stackOf } from "./results.js";
import { stepWord, valuesOf } from "./words.js";

const TRIAL_S = 60;
const SHOWN_MS = 60_000;
const ENDINGS = {
  cancelled: ["look", "已取消。"],
  lost: ["bad", "与本机服务程序的连接断了，这次没有完成。恢复后请再试一次。"],
};

export class Trial {
  #start;
  #command = null;
  #clearing = 0;

  /** `start(name, options)` gives a command to the device; `buttons` are those that begin a trial. */
  constructor(start) {
    this.#start = start;
    this.buttons = make("div.buttons");
    this.said = make("div.said");
    this.said.setAttribute("aria-live", "polite");
  }

  cancel() {
    this.#command?.cancel();
  }

  /** `offered`: [[word, steps]]. Where nothing has changed, the buttons stay as they are, and keep the focus. */
  offer(offered, possible) {
    const now = JSON.stringify(offered);
    if (this.buttons.dataset.offered !== now) {
      this.buttons.dataset.offered = now;
      this.buttons.replaceChildren(...offered.map(([word, steps]) => this.#button(word, steps)));
    }
    if (!possible && !this.#command && this.said.querySelector(".outcome.well")) this.said.replaceChildren(); // no longer true
    for (const button of this.buttons.children) button.setAttribute("aria-disabled", String(!possible && !this.#command));
  }

  #button(word, steps) {
    const button = make("button.try", `试一试：${word}`);
    button.type = "button";
    button.addEventListener("click", () => button.getAttribute("aria-disabled") !== "true" && this.#run(steps, button));
    return button;
  }

  async #run(steps, button) {
    if (this.#command) return;
    clearTimeout(this.#clearing);
    this.buttons.hidden = true;
    let ended = null;
    for (const [index, step] of steps.entries()) {
      ended = await this.#take(step, stepWord(steps, index), valuesOf(step, ended));
      if (ended.status !== "success") break;
    }
    const focused = this.said.contains(document.activeElement);
    this.#command = null;
    this.buttons.hidden = false;
    this.#show(ended);
    if (focused) button.focus({ preventScroll: true });
  }

  /** One step to its completion, with what has to be done, and a way out. */
  async #take(step, number, values) {
    const hint = make("p.hint", "正在启动，请稍候。"), left = make("span.left"), cancel = make("button.cancel", "取消");
    left.setAttribute("aria-hidden", "true");
    cancel.type = "button";
    cancel.addEventListener("click", () => this.cancel());
    this.said.replaceChildren(make("div.waiting", number && make("p.step", number), hint, make("div.way-out", cancel, left)));
    this.said.scrollIntoView({ block: "nearest" });
    cancel.focus();
    const time = new Countdown(left);
    let attend = "";
    const told = (event) => {
      if (event.hint) hint.textContent = event.hint;
      if (event.name === "page") time.renew();
      if (event.name === "attend") attend = event.hint;
    };
    this.#command = this.#start(step, { timeout_s: TRIAL_S, values, told });
    const ended = await this.#command.ended;
    time.stop();
    return { ...ended, attend };
  }

  #show(ended) {
    if (ended.status === "success") {
      const found = ended.reading ?? stackOf(ended.pages ?? []);
      const more = found.kind === "stack" && ended.attend ? [told("look", ended.attend)] : [];
      this.said.replaceChildren(told(...outcome(found)), ...more, ...table(found));
    } else {
      this.said.replaceChildren(told(...ending(ended)));
    }
    this.said.scrollIntoView({ block: "nearest" });
    this.#clearing = setTimeout(() => this.said.replaceChildren(), SHOWN_MS);
  }
}

/** [look, sentence]. Where pages of a stack came before the end, the door says how many, and where to go on. */
function ending({ status, pages, error }) {
  const [look, text] = ENDINGS[status] ?? [["refused", "timeout"].includes(status) ? "look" : "bad", error?.message ?? "没有完成，请再试一次。"];
  return [look, pages?.length && error ? error.message : text];
}

function told(look, text) {
  return make(`p.outcome.${look}`, sign(look), make("span", text));
}

function table(reading) {
  const found = rows(reading);
  if (!found.length) return [];
  const list = make("dl.rows", ...found.map(([label, text]) => make("div", make("dt", label), make("dd", text))));
  const notes = [reading.simulated ? "模拟数据。" : "", PERSONAL.has(reading.kind) ? "为保护个人信息，部分内容以 * 代替，一分钟后自动清除。" : ""];
  return [list, make("p.note", notes.join(""))];
}

/** The time that a command has left; it begins anew with each page of a stack. */
class Countdown {
  #left;
  #until;
  #ticking;

  constructor(left) {
    this.#left = left;
    this.#ticking = setInterval(() => this.#tick(), 500);
    this.renew();
  }

  renew() {
    this.#until = Date.now() + TRIAL_S * 1000;
    this.#tick();
  }

  stop() {
    clearInterval(this.#ticking);
  }

  #tick() {
    this.#left.textContent = `还剩 ${Math.max(0, Math.ceil((this.#until - Date.now()) / 1000))} 秒`;
  }
}
