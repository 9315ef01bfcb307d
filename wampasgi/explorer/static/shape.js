/** JSON Schemas and payloads as short type texts, and as lists that open on demand. */
import { h } from "./dom.js";
import { markdown } from "./markdown.js";

const MAX_OPTIONS = 6;
const BOUNDS = [["minimum", "≥ "], ["exclusiveMinimum", "> "], ["maximum", "≤ "], ["exclusiveMaximum", "< "],
  ["minLength", "min length "], ["maxLength", "max length "], ["pattern", "pattern "], ["minItems", "min items "],
  ["maxItems", "max items "], ["multipleOf", "multiple of "]];

/** Follow references into `defs`. */
export function resolve(schema, defs) {
  for (let step = 0; step < 20; step += 1) {
    if (typeof schema?.$ref === "string") schema = defs[schema.$ref.replace("#/$defs/", "")];
    else if (schema?.allOf?.length === 1) schema = schema.allOf[0];
    else break;
  }
  return typeof schema === "object" && schema ? schema : {};
}

/** Return a short text for the type of a value, such as `OrderLine[]` or `string | null`. */
export function typeText(schema, depth = 0) {
  if (!schema || typeof schema !== "object" || depth > 4) return "any";
  const inner = (part) => typeText(part, depth + 1);
  if (typeof schema.$ref === "string") return schema.$ref.replace(/^.*\//, "");
  if (schema["x-python-type"]) return schema["x-python-type"].replace(/^.*\./, "");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return shortened(schema.enum.map((value) => JSON.stringify(value)));
  const union = schema.anyOf ?? schema.oneOf;
  if (union) return shortened([...new Set(union.map(inner))]);
  if (schema.allOf?.length === 1) return inner(schema.allOf[0]);
  if (Array.isArray(schema.type)) return schema.type.join(" | ");
  if (schema.type === "array") {
    if (schema.prefixItems) return `[${schema.prefixItems.map(inner).join(", ")}]`;
    const item = inner(schema.items);
    return item.includes(" ") ? `(${item})[]` : `${item}[]`;
  }
  if (schema.type === "object" && !schema.properties && typeof schema.additionalProperties === "object") {
    return `map of ${inner(schema.additionalProperties)}`;
  }
  if (schema.type === "object" && schema.title) return schema.title;
  if (schema.type === "string" && schema.format) return schema.format === "binary" ? "bytes" : schema.format;
  return schema.type ?? "any";
}

function shortened(options) {
  return options.slice(0, MAX_OPTIONS).join(" | ") + (options.length > MAX_OPTIONS ? " | …" : "");
}

/** Return an element that describes a payload: its positional and its keyword arguments. */
export function payloadShape(payload, defs) {
  if (!payload) return h("p", { class: "muted" }, "Not described.");
  const { prefixItems = [], items, minItems = 0 } = payload.args;
  const rows = prefixItems.map((schema, index) => {
    const name = prefixItems.length > 1 || schema.title ? schema.title ?? `[${index}]` : null;
    return row(name, schema, defs, index >= minItems);
  });
  if (items && typeof items === "object") rows.push(row("…", items, defs, true));
  const { properties = {}, required = [] } = payload.kwargs ?? {};
  for (const [name, schema] of Object.entries(properties)) {
    rows.push(row(name, schema, defs, !required.includes(name)));
  }
  if (!rows.length) return h("p", { class: "muted" }, "Nothing.");
  return h("ul", { class: "shape" }, rows);
}

function row(name, schema, defs, optional) {
  const facts = BOUNDS.filter(([key]) => key in schema).map(([key, text]) => text + schema[key]);
  if (schema.default !== undefined && schema.default !== null) facts.push(`default ${JSON.stringify(schema.default)}`);
  const line = [
    name && h("span", { class: "name" }, name + (optional ? "?" : "")),
    h("span", { class: "type" }, typeText(schema)),
    facts.length > 0 && h("span", { class: "muted" }, facts.join(", ")),
    schema.deprecated && h("span", { class: "badge warn" }, "deprecated"),
  ];
  const note = schema.description && markdown(schema.description);
  const nested = parts(schema, defs);
  if (!nested.length) return h("li", {}, h("div", { class: "line" }, line), note);
  // Models may contain themselves, so the parts are made when they are opened.
  const details = h("details", { ontoggle: () => {
    if (details.open && details.childElementCount === 1) details.append(h("ul", { class: "shape" }, nested.map((make) => make())));
  } }, h("summary", { class: "line" }, line));
  return h("li", {}, details, note);
}

/** Return functions that make the rows inside of a schema. */
function parts(schema, defs) {
  const found = resolve(schema, defs);
  if (found.properties) {
    return Object.entries(found.properties).map(([name, property]) =>
      () => row(name, property, defs, !found.required?.includes(name)));
  }
  if (found.items && typeof found.items === "object") return parts(found.items, defs);
  if (found.prefixItems) return found.prefixItems.map((item, index) => () => row(`[${index}]`, item, defs, false));
  if (typeof found.additionalProperties === "object") return parts(found.additionalProperties, defs);
  const union = (found.anyOf ?? found.oneOf ?? []).filter((option) => option.type !== "null");
  if (union.length === 1) return parts(union[0], defs);
  return union.filter((option) => parts(option, defs).length).map((option) => () => row(null, option, defs, false));
}
