// What may be seen of a resident on a screen that others see, too (ID numbers: first 6 and last 4 places; names: first and last).

const ID_NUMBER = /(?<!\d)(\d{6})\d{8}(\d{3}[\dXx])(?!\d)/g;
const OLD_ID_NUMBER = /(?<!\d)(\d{6})\d{6}(\d{3})(?!\d)/g;
const FOREIGN_ID_NUMBER = /(?<![A-Za-z])([A-Za-z]{3}\d{3})\d{5}(\d{4})(?!\d)/g;

export function maskId(number) {
  if (number.length > 10) return number.slice(0, 6) + "*".repeat(number.length - 10) + number.slice(-4);
  return stars(number);
}

export function maskName(name) {
  const letters = [...name];
  if (letters.length < 2) return stars(name);
  if (letters.length === 2) return letters[0] + "*";
  return letters[0] + "*".repeat(letters.length - 2) + letters.at(-1);
}

export function maskCard(number) {
  return number.length > 6 ? number.slice(0, 2) + "*".repeat(number.length - 5) + number.slice(-3) : stars(number);
}

/** A text that may hold ID numbers. */
export function maskText(text) {
  return text.replace(ID_NUMBER, "$1********$2").replace(OLD_ID_NUMBER, "$1******$2").replace(FOREIGN_ID_NUMBER, "$1*****$2");
}

const stars = (text) => "*".repeat([...text].length);
