/** JSON that people type: exact integers, and errors that say where they are. */
import { decode } from "./wamp.js";

/** A field without a value. The message is for the user. */
export class Unreadable extends Error {
  constructor(message, missing = false) {
    super(message);
    this.missing = missing;
  }
}

// Without rawJSON, a browser cannot send larger integers exactly. An infinite number would be sent as null.
const LARGEST = JSON.rawJSON ? Number.MAX_VALUE : 2 ** 53;

/** Return the value of a JSON text, with a BigInt for an integer beyond 2^53. Throws Unreadable. */
export function parse(text) {
  let value;
  try {
    value = decode(text);
  } catch (error) {
    throw new Unreadable(error instanceof RangeError ? "This is nested too deeply." : describeError(text));
  }
  if (/\d{16}|\d[eE]/.test(text)) {
    JSON.stringify(value, (_, item) => {
      if (typeof item === "number" && Math.abs(item) > LARGEST) throw new Unreadable("A number is too large.");
      return typeof item === "bigint" ? 0 : item;
    });
  }
  return value;
}

const TOKEN = new RegExp(`([ \\t\\n\\r]*)(${[/[[\]{},:]/, /"[^"\\\0-\x1f]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[^"\\\0-\x1f]*)*"/,
  /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null)(?![\w.])/].map(({ source }) => source).join("|")}|)`, "y");
// What may come next: brackets, comma and colon as they are, k for a key, v for another value.
const EXPECTED = { "[{v": "a value", "[{v]": "a value or ]", k: "a key in double quotes", "k}": "a key in double quotes or }",
  ":": "a colon", ",]": "a comma or ]", ",}": "a comma or }", "": "the end" };
const AFTER = { "[": "[{v]", "{": "k}", ":": "[{v" };

// The errors of JSON.parse differ from browser to browser, and not all of them have a position.
function describeError(text) {
  const open = [];
  let expected = "[{v";
  for (TOKEN.lastIndex = 0; ;) {
    const start = TOKEN.lastIndex;
    const [, space, token] = TOKEN.exec(text);
    const kind = "[]{},:".includes(token) ? token : token[0] === "\"" && expected[0] === "k" ? "k" : "v";
    if (!token || !expected.includes(kind)) {
      const lines = text.slice(0, start + space.length).split("\n");
      return `Line ${lines.length}, column ${lines.at(-1).length + 1}: expected ${EXPECTED[expected]}.`;
    }
    if (kind === "[" || kind === "{") open.push(kind);
    if (kind === "]" || kind === "}") open.pop();
    const inside = open.at(-1);
    if (kind === ",") expected = inside === "{" ? "k" : "[{v";
    else if (kind === "k") expected = ":";
    else expected = AFTER[kind] ?? { "[": ",]", "{": ",}" }[inside] ?? "";
  }
}
