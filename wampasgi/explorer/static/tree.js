/** A JSON value as a tree of native `details`. Parts are made when they are opened. */
import { button, copy, count, h } from "./dom.js";
import { bestBranch, branchesOf, extraOf, isObject, itemOf, kindOf, own, resolve, textOf } from "./schema.js";
import { encode } from "./wamp.js";

const PAGE = 100;
const SHORT = 200;
const MORE = 5000;
/** Small containers this deep are open at first. */
const OPEN_LEVELS = 3;
const SMALL = 10;

/**
 * Return an element that shows a value. `open` is the number of levels that are open at first, or false for none;
 * by default these are the outermost and small ones inside. A schema adds names of models and descriptions.
 */
export function createTree(value, { schema, defs, open } = {}) {
  const context = { defs: isObject(defs) ? defs : {}, levels: open === true ? undefined : open };
  const copyButton = button("Copy", () => {
    let text;
    try {
      text = encode(value, 2);
    } catch {
      text = "The value is nested too deeply to copy.";
    }
    copy(text, copyButton);
  }, { class: "tree-copy", "aria-label": "Copy as JSON" });
  return h("div", { class: "tree" }, value !== undefined && copyButton, h("ul", {}, createNode(context, null, value, schema, 0)));
}

function createNode(context, key, value, schema, depth) {
  const found = schemaOf(schema, value, context.defs);
  const name = key !== null && [h("span", { class: "tree-key" }, String(key)), ": "];
  const parts = typeof value === "object" && value ? Object.keys(value) : [];
  const description = depth > 0 && textOf(found.description, 80);
  const note = description && h("span", { class: "tree-note" }, description);
  if (!parts.length) return h("li", {}, name, createLeaf(value), note);

  const array = Array.isArray(value);
  const title = !array && textOf(found.title, 40);
  const size = count(parts.length, array ? "item" : "key");
  const summary = h("summary", {}, name, title && h("span", { class: "tree-type" }, `${title} `),
    h("span", { class: "tree-type" }, `${array ? "[…]" : "{…}"} ${size}`), note);
  const properties = isObject(found.properties) ? found.properties : {};
  const create = (part) => createNode(context, array ? Number(part) : part, value[part],
    array ? itemOf(found, part) : own(properties, part) ?? extraOf(found), depth + 1);
  const details = h("details", {}, summary);
  const fill = () => {
    if (!details.querySelector(":scope > ul")) details.append(createPages(parts, create));
  };
  details.addEventListener("toggle", () => details.open && fill());
  const opened = context.levels === undefined
    ? depth === 0 || (depth < OPEN_LEVELS && parts.length <= SMALL) : depth < context.levels;
  if (opened) {
    details.open = true;
    fill();
  }
  return h("li", {}, details);
}

function createPages(parts, create) {
  const list = h("ul", {});
  let shown = 0;
  const more = button("", () => {
    const first = list.children[shown];
    show();
    const next = list.children[list.children.length > shown ? shown : 0];
    void first;
    (more.isConnected ? more : next?.querySelector("summary, button"))?.focus();
  }, { class: "tree-more" });
  const show = () => {
    more.parentNode?.remove();
    list.append(...parts.slice(shown, shown + PAGE).map(create));
    shown += PAGE;
    const left = parts.length - shown;
    if (left <= 0) return;
    more.textContent = `Show ${Math.min(PAGE, left)} more of ${left.toLocaleString("en")}`;
    list.append(h("li", {}, more));
  };
  show();
  return list;
}

function createLeaf(value) {
  if (typeof value === "string") return value[0] === "\0" ? createText(value.slice(1), "bytes ", "") : createText(value, "", "\"");
  const kind = value === null ? "null" : typeof value;
  const text = kind === "object" ? (Array.isArray(value) ? "[]" : "{}") : kind === "undefined" ? "no value" : String(value);
  const rounded = Number.isInteger(value) && !Number.isSafeInteger(value);
  return h("span", { class: `tree-value tree-${kind}` }, text, rounded && h("span", { class: "tree-note" }, "may be rounded"));
}

function createText(text, before, quote) {
  let shown = SHORT;
  const content = document.createTextNode(text.slice(0, shown));
  const more = button("more", () => {
    shown += MORE;
    content.data = text.slice(0, shown);
    update();
  }, { class: "tree-more" });
  const update = () => {
    const left = text.length - shown;
    more.hidden = left <= 0;
    more.setAttribute("aria-label", `Show more of ${left.toLocaleString("en")} further characters`);
  };
  update();
  return h("span", { class: `tree-value tree-${before ? "bytes" : "string"}` }, before && h("span", { class: "tree-type" }, before),
    quote, content, quote, more);
}

function schemaOf(schema, value, defs) {
  const found = resolve(schema, defs);
  if (kindOf(found) !== "union") return found;
  const branches = branchesOf(found, defs);
  return { description: found.description, ...branches[bestBranch(found, branches, value, defs)] };
}
