/** The described types of a payload, as a list whose parts open on demand. */
import { badge, h } from "./dom.js";
import { hintsFor } from "./markdown.js";
import { branchesOf, extraOf, isObject, kindOf, listOf, resolve, typeName } from "./schema.js";

const MAX_DEPTH = 6;

export function payloadShape(payload, defs) {
  if (!payload) return h("p", { class: "muted" }, "Not described.");
  const { args, kwargs } = payload;
  const positional = listOf(args.prefixItems);
  const rows = positional.map((schema, index) =>
    [positional.length > 1 ? `[${index}]` : "", schema, index >= (args.minItems ?? 0)]);
  // An empty schema says nothing.
  if (isObject(args.items) && Object.keys(args.items).length) rows.push(["…", args.items, true]);
  rows.push(...properties(kwargs ?? {}));
  if (!rows.length) return h("p", { class: "muted" }, "Nothing.");
  return h("ul", { class: "shape" }, rows.map((row) => createRow(defs, row, rows.length === 1)));
}

const properties = (schema) => Object.entries(schema.properties ?? {})
  .map(([name, property]) => [name, property, !listOf(schema.required).includes(name)]);

function createRow(defs, [name, schema, optional], open = false) {
  const found = resolve(schema, defs);
  const line = [name && h("span", { class: "name" }, name + (optional ? "?" : "")),
    h("span", { class: "type" }, typeName(found, defs)),
    found.deprecated === true && badge("deprecated", "warn")];
  const hints = h("div", { class: "muted" }, hintsFor({ ...found, format: undefined }));
  const rows = rowsIn(found, defs);
  if (!rows.length) return h("li", {}, h("div", { class: "line" }, line), hints);
  // Models may contain themselves.
  const details = h("details", { open, ontoggle: () => {
    if (!details.querySelector("ul")) details.append(h("ul", { class: "shape" }, rows.map((row) => createRow(defs, row))));
  } }, h("summary", { class: "line" }, line));
  return h("li", {}, details, hints);
}

/** Return `[name, schema, optional]` for each part of a value. */
function rowsIn(schema, defs, depth = 0) {
  const inside = (part) => (depth < MAX_DEPTH && isObject(part) ? rowsIn(resolve(part, defs), defs, depth + 1) : []);
  const kind = kindOf(schema);
  if (kind === "object") return schema.properties ? properties(schema) : inside(extraOf(schema));
  if (kind === "array") return schema.prefixItems?.map((item, index) => [`[${index}]`, item]) ?? inside(schema.items);
  if (kind !== "union") return [];
  const branches = branchesOf(schema, defs).filter((branch) => kindOf(branch) !== "null");
  if (branches.length === 1) return inside(branches[0]);
  return branches.filter((branch) => inside(branch).length).map((branch) => ["", branch]);
}
