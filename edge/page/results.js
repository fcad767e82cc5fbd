// What a device gave, as rows to be shown: [[label, text]]. Only what is named here is shown, and nobody in full.

import { maskCard, maskId, maskName, maskText } from "./mask.js";

const SEX = { 1: "男", 2: "女", 男: "男", 女: "女" };
const person = (data) => [
  ["姓名", data.name && maskName(data.name)],
  ["外文姓名", data.foreign_name && maskName(data.foreign_name)],
  ["身份证号码", data.id_number && maskId(data.id_number)],
  ["性别", SEX[data.sex]],
];

const ROWS = {
  "social-card": (data) => [
    ...person(data),
    ["社保卡号", data.card_number && maskCard(data.card_number)],
    ["第几代卡", data.generation && `第 ${data.generation} 代`],
    ["有效期至", data.expires],
  ],
  "id-card": (data) => [...person(data), ["有效期至", data.valid_to === null ? "长期" : data.valid_to]],
  "barcode": (data) => [["内容", data.text && maskText(data.text)]],
  "document": (data) => [
    ["画面", data.width && `${data.width} × ${data.height} 点`],
    ["大小", data.size && `${Math.ceil(data.size / 1024)} KB`],
  ],
  "stack": ({ size }) => [["大小", size && `${Math.ceil(size / 1024)} KB`]],
  "printer": (data) => [["已打印", data.sides && `${data.sides} 面`]],
};

export const PERSONAL = new Set(["social-card", "id-card", "barcode"]);

/** What a stack gave, as one thing to be shown. */
export function stackOf(pages) {
  const size = pages.reduce((sum, { data }) => sum + data.size, 0);
  return { kind: "stack", simulated: pages.some((page) => page.simulated), data: { pages: pages.length, size } };
}

export function rows(reading) {
  return (ROWS[reading.kind]?.(reading.data) ?? []).filter(([, text]) => text);
}

/** [look, sentence] for what a device gave. */
export function outcome({ kind, data }) {
  switch (kind) {
    case "fingerprint": return data.matched ? ["well", "两次是同一个手指，设备可以使用。"] : ["look", "两次不是同一个手指。请用同一个手指再试一次。"];
    case "printer": return data.with_errors ? ["look", "打印了，但打印机报告有问题，请查看打印机。"] : ["well", "测试页已打印，请到打印机取纸。"];
    case "stack": return data.pages
      ? ["well", `整叠扫完了，共 ${data.pages} 页，设备可以使用。`]
      : ["look", "没有扫到材料。请把材料放进进纸器后再试一次。"];
    case "document": return ["well", "拍到了，设备可以使用。"];
    default: return ["well", "读到了，设备可以使用。"];
  }
}
