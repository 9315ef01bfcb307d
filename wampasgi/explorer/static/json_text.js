/** JSON that people type: exact numbers, and errors that name their place. */
import { decode } from "./wamp.js";

/** A text that has no value. The message is for the user; `position`, if known, is an index in the text. */
export class Unreadable extends Error {
  constructor(message, position) {
    super(message);
    this.position = position;
  }
}

/** Return the value of a JSON text, with a BigInt for an integer beyond 2^53. Throws Unreadable. */
export function parse(text) {
  let value;
  try {
    value = decode(text);
  } catch (error) {
    if (error instanceof RangeError) throw new Unreadable("This is nested too deeply.");
    throw diagnose(text);
  }
  if (/\d{16}|\d[eE]/.test(text)) findRounded(value);
  return value;
}

/** Return the number in a text: exact if it is an integer. Throws Unreadable if there is none. */
export function parseNumber(text) {
  const number = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(text) ? Number(text) : NaN;
  if (!Number.isFinite(number)) throw new Unreadable("Enter a number.");
  if (Number.isSafeInteger(number) || !Number.isInteger(number) || !/^[-+]?\d+$/.test(text)) return number;
  if (!JSON.rawJSON) throw new Unreadable("This browser cannot send an integer of this size exactly.");
  return BigInt(text);
}

function findRounded(value) {
  const waiting = [value];
  while (waiting.length) {
    const item = waiting.pop();
    if (typeof item === "object" && item) waiting.push(...Object.values(item));
    if (item === Infinity || item === -Infinity) throw new Unreadable("This has a number that is too large.");
    if ((typeof item === "number" && Math.abs(item) > 2 ** 53 && !JSON.rawJSON)) {
      throw new Unreadable("This has an integer that this browser cannot send exactly.");
    }
  }
}

const TOKEN = /([[{])|([\]}])|(,)|(:)|("(?:[^"\\\0-\x1f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null)(?![\w.])/y;
const SPACE = /[ \t\n\r]*/y;
const CLOSING = { "[": "]", "{": "}" };

// The errors of JSON.parse differ from browser to browser, and not all of them have a position.
function diagnose(text) {
  const open = [];
  let expected = "value";
  let position = 0;
  for (;;) {
    SPACE.lastIndex = position;
    position += SPACE.exec(text)[0].length;
    TOKEN.lastIndex = position;
    const [token, opening, closing, comma, colon, string] = TOKEN.exec(text) ?? [];
    const end = CLOSING[open.at(-1)];
    const mayClose = expected === "more" || expected.startsWith("first");
    if (opening && /value$/.test(expected)) {
      open.push(opening);
      expected = opening === "[" ? "first value" : "first key";
    } else if (closing && closing === end && mayClose) {
      open.pop();
      expected = "more";
    } else if (comma && expected === "more" && end) {
      expected = end === "]" ? "value" : "key";
    } else if (colon && expected === "colon") {
      expected = "value";
    } else if (string && /key$/.test(expected)) {
      expected = "colon";
    } else if (token && !opening && !closing && !comma && !colon && /value$/.test(expected)) {
      expected = "more";
    } else {
      return describe(text, position, expected, end);
    }
    position += token.length;
  }
}

function describe(text, position, expected, end) {
  const lines = text.slice(0, position).split("\n");
  const wanted = {
    value: "a value", key: "a key in double quotes", colon: "a colon", "first value": "a value or ]",
    "first key": "a key in double quotes or }", more: end ? `a comma or ${end}` : "the end of the text",
  }[expected];
  const found = position < text.length ? "" : ", but the text ends here";
  return new Unreadable(
    `Line ${lines.length}, column ${lines.at(-1).length + 1}: expected ${wanted}${found}.`, position);
}
