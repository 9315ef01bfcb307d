/** A JSON value as a tree of native `details`. Parts are made when they are opened. */
import { button, copy, count, h } from "./dom.js";
import { inline } from "./markdown.js";
import { bestBranch, branchesOf, extraOf, itemOf, kindOf, mapOf, own, resolve, textOf } from "./schema.js";
import { encode } from "./wamp.js";

const PAGE = 100;
const SHORT_TEXT = 200;
const MORE_TEXT = 5000;
/** Containers in this many levels with this many parts are open at first. */
const OPEN_LEVELS = 3;
const SMALL = 10;

/**
 * Return an element that shows a value. `open` is the number of levels that are open at first; by default, the
 * outermost one and small containers inside are. A schema adds the names of models, and descriptions.
 */
export function createTree(value, { schema, defs, open = true } = {}) {
  const copyButton = button("Copy", () => {
    let text = "The value is nested too deeply to copy.";
    try {
      text = encode(value, 2);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
    copy(text, copyButton);
  }, { class: "tree-copy", "aria-label": "Copy as JSON" });
  const node = createNode({ defs: mapOf(defs), open }, null, value, schema, 0);
  return h("div", { class: "tree" }, value !== undefined && copyButton, h("ul", {}, node));
}

function createNode(context, key, value, schema, depth) {
  const found = schemaOf(schema, value, context.defs);
  const name = key !== null && [h("span", { class: "tree-key" }, String(key)), ": "];
  const description = depth > 0 && textOf(found.description);
  const note = description && [" ", h("span", { class: "tree-note" }, inline(description))];
  const array = Array.isArray(value);
  // An array stands for its own keys, because it may be long.
  const keys = array ? value : Object.keys(mapOf(value));
  if (!keys.length) return h("li", {}, name, createLeaf(value), note);

  const kind = [!array && textOf(found.title), array ? "[…]" : "{…}", count(keys.length, array ? "item" : "key")];
  const details = h("details", { ontoggle: () => show() },
    h("summary", {}, name, h("span", { class: "tree-type" }, kind.filter(Boolean).join(" ")), note));
  const show = () => {
    if (!details.open || details.childElementCount > 1) return;
    details.append(createPages(keys, (part, index) => (array ? createNode(context, index, part, itemOf(found, index), depth + 1)
      : createNode(context, part, value[part], own(found.properties, part) ?? extraOf(found), depth + 1))));
  };
  details.open = context.open === true ? !depth || (depth < OPEN_LEVELS && keys.length <= SMALL) : depth < context.open;
  show();
  return h("li", {}, details);
}

function createPages(keys, create) {
  const list = h("ul", {});
  const show = (start) => {
    list.append(...keys.slice(start, start + PAGE).map((key, index) => create(key, start + index)));
    const left = keys.length - start - PAGE;
    if (left <= 0) return;
    const more = button(`Show ${Math.min(PAGE, left)} more of ${left.toLocaleString("en")}`, () => {
      more.parentNode.remove();
      show(start + PAGE);
      list.querySelector(":scope > li > .tree-more")?.focus();
    }, { class: "tree-more" });
    list.append(h("li", {}, more));
  };
  show(0);
  return list;
}

function createLeaf(value) {
  if (typeof value === "string") return value[0] === "\0" ? createText(value.slice(1), "bytes ", "") : createText(value, "", "\"");
  const kind = value === null ? "null" : typeof value;
  const text = kind === "object" ? encode(value) : kind === "undefined" ? "no value" : String(value);
  const rounded = Number.isInteger(value) && !Number.isSafeInteger(value);
  return h("span", { class: `tree-${kind}` }, text, rounded && h("span", { class: "tree-note" }, " may be rounded"));
}

function createText(text, type, quote) {
  const content = document.createTextNode("");
  const more = button("more", () => show(content.length + MORE_TEXT), { class: "tree-more" });
  const show = (length) => {
    content.data = text.slice(0, length);
    more.hidden = content.length >= text.length;
    more.ariaLabel = `Show more of ${(text.length - content.length).toLocaleString("en")} further characters`;
  };
  show(SHORT_TEXT);
  return h("span", { class: type ? "tree-bytes" : "tree-string" }, type, quote, content, quote, more);
}

function schemaOf(schema, value, defs) {
  const found = resolve(schema, defs);
  if (kindOf(found) !== "union") return found;
  const branches = branchesOf(found, defs);
  return { ...branches[bestBranch(found, branches, value, defs)], ...(found.description && { description: found.description }) };
}
