// What no part of the agent looks after: inventory, and what is plugged in and stands in no device list.

import { drawing, make, sign } from "./drawing.js";
import { put } from "./machine.js";
import { KINDS } from "./words.js";

export class Beside {
  #parts;
  #unlisted = [];

  /** `parts`: elements to fill. */
  constructor(parts) {
    this.#parts = parts;
  }

  show({ inventory, unlisted }) {
    this.#unlisted = unlisted;
    fill(this.#parts.inventory, this.#parts.inventoryList, inventory.map(inventoryRow));
    fill(this.#parts.unlisted, this.#parts.unlistedList, unlisted.map(unlistedRow));
  }

  /** How many of them somebody has to register, or to unplug. */
  get toList() {
    return this.#unlisted.filter((one) => one.certain).length;
  }
}

function fill(part, list, rows) {
  put(list, rows);
  part.hidden = rows.length === 0;
}

function inventoryRow({ name, kind, note }) {
  return make("li.counted", drawing(kind), make("strong", KINDS[kind] ?? kind), make("span.name", name), make("span", note));
}

function unlistedRow({ certain, diagnosis }) {
  return make("li", sign(certain ? "look" : "note"), make("span", diagnosis));
}
