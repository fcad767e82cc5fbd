// Elements and line drawings, made by calls: never from text.

const SVG = "http://www.w3.org/2000/svg";

/** make("p.hint", "text", child, …) */
export function make(what, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  element.append(...children.filter((child) => child !== "" && child != null));
  return element;
}

const DRAWINGS = {
  "social-card": ["M4 8h32v24H4z", "M9 15h7v7H9z", "M21 16h10M21 21h10M9 27h22"],
  "id-card": ["M4 8h32v24H4z", "M13 21a4 4 0 1 0 0-8 4 4 0 0 0 0 8", "M8 28c1-4 9-4 10 0", "M23 15h9M23 20h9M23 25h6"],
  "fingerprint": ["M9 26c2-4 2-8 3-11 2-6 14-6 16 0 1 4 1 9 0 14", "M14 31c3-5 3-9 3-13 1-4 6-4 7 0 0 6 0 10-2 15", "M20 20c0 6-1 9-3 13",
    "M8 17c2-12 22-14 24 0"],
  "barcode": ["M6 9v22M11 9v22M15 9v22M21 9v22M25 9v22M29 9v22M34 9v22"],
  "document": ["M11 5h13l6 6v24H11z", "M24 5v6h6", "M16 18h9M16 23h9M16 28h6"],
  "printer": ["M11 15V5h18v10", "M11 29H5V15h30v14h-6", "M11 23h18v12H11z"],
  "fax": ["M12 14V5h15v9", "M5 14h30v19H5z", "M10 19v9M16 20h4M23 20h7M23 25h7M16 25h4"],
  "filing-cabinet": ["M9 5h22v30H9z", "M9 20h22", "M17 12h6M17 27h6"],
  "": ["M6 9h28v18H6z", "M14 34h12M20 27v7"],
};

/** The outline of a kind of device. */
export function drawing(kind) {
  return svg("0 0 40 40", "drawing", ...(DRAWINGS[kind] ?? DRAWINGS[""]));
}

const SIGNS = { well: "M6 12.5l4 4 8-9", busy: "M12 7v5l3.5 2.5", look: "M12 7v6M12 16.6v.4", bad: "M8 8l8 8M16 8l-8 8", note: "M12 11v6M12 7.2v.4" };

/** A sign whose form tells the same as its colour. */
export function sign(look) {
  const ring = look === "look" ? "M12 2.5 22.5 21h-21z" : "M12 1.8a10.2 10.2 0 1 0 0 20.4 10.2 10.2 0 0 0 0-20.4";
  return svg("0 0 24 24", `sign ${look}`, ring, SIGNS[look] ?? SIGNS.busy);
}

function svg(box, name, ...paths) {
  const drawn = document.createElementNS(SVG, "svg");
  drawn.setAttribute("viewBox", box);
  drawn.setAttribute("class", name);
  drawn.setAttribute("aria-hidden", "true");
  for (const d of paths) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    drawn.append(path);
  }
  return drawn;
}
