// The device page, put together: read this first.

import { Beside } from "./beside.js";
import { ailing, Devices, kindWord } from "./devices.js";
import { call, forget, Live, pair, paired, Refused } from "./door.js";
import { sign, make } from "./drawing.js";
import { Machine } from "./machine.js";

const POLL_MS = 3000;
const TICK_MS = 5000;
const AGAIN_MS = 1000;
const QUIET_MS = 2500; // an agent that is restarted is back before anybody is told
const STOPPED = "页面会自动重新连接，请等一分钟。仍不行请重启这台电脑；重启后还不行，请联系技术人员（suozhan-edge 服务没有运行）。";
const BEFORE = "以下是断开前的情况，可能已经变化。";

const at = (id) => document.getElementById(id);
const machine = new Machine({ line: at("line"), queue: at("queue"), alarms: at("alarms"), alarmList: at("alarm-list") });
const beside = new Beside({
  inventory: at("inventory"), inventoryList: at("inventory-list"), unlisted: at("unlisted"), unlistedList: at("unlisted-list"),
});
let reached = false;
let quiet = 0;
let brought = null; // a code that came with the address

const live = new Live({
  open(all) {
    devices.replace(all);
    reach();
  },
  changed(device) {
    devices.change(device);
    sum();
  },
  removed(device) {
    devices.remove(device.name);
    sum();
  },
  closed,
});
const devices = new Devices(at("devices"), (...order) => live.command(...order));

async function closed(refused) {
  const why = refused ? await reason() : "";
  if (!paired()) return;
  if (why || !reached) lose(why || STOPPED);
  else quiet ||= setTimeout(() => lose(STOPPED), QUIET_MS);
  again();
}

function again() {
  setTimeout(() => paired() && live.open(), AGAIN_MS);
}

function reach() {
  clearTimeout(quiet);
  quiet = 0;
  reached = true;
  at("unreachable").hidden = true;
  at("office").hidden = false;
  at("office").classList.remove("stale");
  sum();
  poll();
}

function lose(text) {
  reached = false;
  at("unreachable").hidden = false;
  at("unreachable-text").textContent = at("office").hidden ? text : text + BEFORE;
  at("office").classList.add("stale");
  sum();
}

/** A door that lets this page not in says why over HTTP. */
async function reason() {
  try {
    await call("/v1/state");
  } catch (error) {
    if (!(error instanceof Refused)) return "";
    if (error.status !== 401) return error.message;
    unpair();
  }
  return "";
}

async function poll() {
  if (!reached) return;
  try {
    const [state, equipment] = await Promise.all([call("/v1/state"), call("/v1/devices")]);
    machine.show(state);
    beside.show(equipment);
    sum();
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return unpair();
    live.close();
    if (!(error instanceof Refused)) return closed(false);
    lose(error.message);
    again();
  }
}

/** Times go on, unless nobody knows whether it is still so. */
function tick() {
  if (!reached) return;
  devices.tick();
  machine.tick();
}

/** What matters most, in a sentence. */
function sum() {
  if (!paired()) return;
  const wrong = devices.all.filter(ailing);
  at("no-devices").hidden = devices.all.length > 0;
  if (!reached) return say("bad", "连不上本机服务程序");
  const names = [...new Set(wrong.map(kindWord))].join("、");
  if (wrong.length) return say("bad", `${wrong.length} 台设备需要处理：${names}`);
  if (machine.state?.alarms.length) return say("bad", "有警报，请看“警报”一栏");
  if (beside.toList) return say("look", `${beside.toList} 台已接入的设备没有登记`);
  if (machine.state && machine.state.line.state !== "connected") return say("look", "设备正常，线路没有连通；业务可以照常办理");
  return say("well", "设备和线路都正常");
}

function say(look, text) {
  const summary = at("summary");
  if (summary.dataset.text === text) return;
  summary.dataset.text = text;
  summary.className = `summary ${look}`;
  summary.replaceChildren(sign(look), make("span", text));
}

function unpair(message = "") {
  forget();
  live.close();
  clearTimeout(quiet);
  quiet = 0;
  reached = false;
  if (brought) return redeem(brought);
  at("office").hidden = true;
  at("unreachable").hidden = true;
  at("pairing").hidden = false;
  at("code-said").textContent = message;
  say("look", "需要技术人员配对");
  at("code").focus();
}

async function redeem(code) {
  brought = null;
  try {
    await pair(code);
  } catch (error) {
    return unpair(error instanceof Refused ? error.message : "连不上本机服务程序，请稍后再试。");
  }
  begin();
}

function begin() {
  at("pairing").hidden = true;
  live.open();
}

at("code-form").addEventListener("submit", (event) => {
  event.preventDefault();
  redeem(at("code").value.trim());
});

/** A code comes in the fragment, which no server sees; it does not stay in the address bar. A pairing that works stays. */
function arrive() {
  brought = new URLSearchParams(location.hash.slice(1)).get("code");
  if (location.hash) history.replaceState(null, "", location.pathname);
  if (paired()) begin();
  else unpair();
}

window.addEventListener("hashchange", () => location.hash && arrive());
window.addEventListener("storage", () => (paired() ? begin() : unpair())); // in another tab
setInterval(poll, POLL_MS);
setInterval(tick, TICK_MS);
arrive();
