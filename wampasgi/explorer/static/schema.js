/**
 * Reading JSON Schemas, as pydantic writes them. Other clients describe procedures, too, so nothing in a schema can
 * be trusted to have the right type or a reasonable size.
 */
import { encode } from "./wamp.js";

/** Larger values and schemas are edited as JSON. */
const MAX_PARTS = 200;
const MAX_BRANCHES = 40;
const RULES = ["pattern", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "minLength",
  "maxLength", "minItems", "maxItems", "uniqueItems", "default", "examples"];
const FORMATS = { "date-time": "2024-12-31T12:00:00Z", time: "12:00:00", duration: "P1DT2H30M" };

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
export const isBase64 = (text) => text.length % 4 === 0 && /^[A-Za-z\d+/]*={0,2}$/.test(text);
export const listOf = (value) => (Array.isArray(value) ? value : []);
export const mapOf = (value) => (isObject(value) ? value : {});
/** Return the value of a key, unless it is inherited. */
export const own = (value, key) => (isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined);
/** Return a text of a description, shortened; "" if it is not a text. */
export const textOf = (value, length = 80) =>
  typeof value !== "string" ? "" : value.length > length ? `${value.slice(0, length)}…` : value;
export const same = (one, other) => typeof one === typeof other && encode(one) === encode(other);

/** Follow references and `allOf` with one entry. What stands next to them wins. */
export function resolve(schema, defs) {
  let found = mapOf(schema);
  for (let step = 0; step < 20; step += 1) {
    const { $ref, allOf, ...rest } = found;
    if (typeof $ref !== "string" && listOf(allOf).length !== 1) return found;
    const name = $ref?.replace("#/$defs/", "").replaceAll("~1", "/").replaceAll("~0", "~");
    found = { ...mapOf(name === undefined ? allOf[0] : own(defs, name)), ...rest };
  }
  return {};
}

/** Return the kind of a resolved schema: const, enum, union, any, bytes, or a JSON type. */
export function kindOf(schema) {
  const { type, properties, prefixItems } = schema;
  const parts = [listOf(schema.enum), listOf(prefixItems), Object.keys(mapOf(properties))];
  if (parts.some(({ length }) => length > MAX_PARTS)) return "any";
  if ("const" in schema) return "const";
  if (parts[0].length) return "enum";
  if (listOf(schema.anyOf ?? schema.oneOf ?? type).length) return "union";
  if (type === "string" && schema.format === "binary") return "bytes";
  const guessed = type ?? (properties ? "object" : prefixItems ? "array" : null);
  return ["string", "integer", "number", "boolean", "null", "array", "object"].includes(guessed) ? guessed : "any";
}

/** Return the resolved alternatives of a union; those of unions among them, too. */
export function branchesOf(schema, defs) {
  const branches = [];
  const waiting = [schema];
  for (let step = 0; waiting.length && step < MAX_BRANCHES; step += 1) {
    const found = resolve(waiting.shift(), defs);
    const { anyOf, oneOf, type, ...rest } = found;
    if (kindOf(found) !== "union") branches.push(found);
    else waiting.unshift(...listOf(anyOf ?? oneOf ?? type.map((single) => ({ ...rest, type: single }))));
  }
  return branches;
}

/** Return the schema of an item of an array, and of a value of an object that is not among its properties. */
export const itemOf = (schema, index) => listOf(schema.prefixItems)[index] ?? schema.items;
export const extraOf = ({ additionalProperties, patternProperties }) =>
  isObject(additionalProperties) ? additionalProperties : Object.values(mapOf(patternProperties))[0];

/** Return whether a field for the schema can show the value. `depth` is the number of levels to look into it. */
export function fits(schema, value, defs, depth = 0) {
  const inner = (part, item) => fits(resolve(part, defs), item, defs, depth - 1);
  switch (kindOf(schema)) {
    case "const": return same(schema.const, value);
    case "enum": return schema.enum.some((choice) => same(choice, value));
    case "union": return branchesOf(schema, defs).some((branch) => fits(branch, value, defs, depth));
    // Text fields replace carriage returns.
    case "string": return typeof value === "string" && !value.includes("\r");
    case "bytes": return typeof value === "string" && value[0] === "\0" && isBase64(value.slice(1));
    case "integer": return typeof value === "bigint" || Number.isInteger(value);
    case "number": return typeof value === "bigint" || typeof value === "number";
    case "boolean": return typeof value === "boolean";
    case "null": return value === null;
    case "array": return Array.isArray(value) && value.length <= MAX_PARTS
      && (!depth || value.every((item, index) => inner(itemOf(schema, index), item)));
    case "object": return isObject(value) && Object.keys(value).length <= MAX_PARTS
      && (!depth || (listOf(schema.required).every((name) => Object.hasOwn(value, name))
        && Object.entries(value).every(([name, item]) => Object.hasOwn(mapOf(schema.properties), name)
          ? inner(schema.properties[name], item) : schema.additionalProperties !== false && inner(extraOf(schema), item))));
    default: return value !== undefined;
  }
}

/** Return the index of the branch that shows a value best, or -1. */
export function bestBranch({ discriminator }, branches, value, defs) {
  const name = own(discriminator, "propertyName");
  const tagged = (branch) => fits(resolve(own(branch.properties, name), defs), own(value, name), defs);
  const tests = [(branch) => fits(branch, value, defs, 4), name ? tagged : () => false, (branch) => fits(branch, value, defs)];
  return tests.map((test) => branches.findIndex(test)).find((index) => index >= 0) ?? -1;
}

/** Return a short name for the type of a resolved schema. */
export function typeName(schema, defs) {
  const kind = kindOf(schema);
  if (kind === "union") return [...new Set(branchesOf(schema, defs).map((branch) => typeName(branch, defs)))].slice(0, 5).join(" | ");
  if (kind === "array" && isObject(schema.items)) return `list of ${typeName(resolve(schema.items, defs), {})}`;
  if (kind === "object" && extraOf(schema) && !schema.title) return `map of ${typeName(resolve(extraOf(schema), defs), {})}`;
  if (kind === "string") return textOf(schema.format) || "text";
  return (kind === "object" && textOf(schema.title)) || (kind === "any" && (textOf(schema["x-python-type"]) || "any JSON")) || kind;
}

/** Return the description of a value, in Markdown, and its rules. Both may be "". */
export function hintsOf(schema) {
  const rules = RULES.filter((key) => ![undefined, null].includes(schema[key]))
    .map((key) => `${key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)} ${textOf(key === "pattern" ? schema[key] : encode(schema[key]))}`);
  const format = own(FORMATS, schema.format);
  return [textOf(schema.description, 1000), [...rules, ...(format ? [`such as ${format}`] : [])].join(" · ")];
}

/** Return whether a readable value breaks a rule that the server will probably check. */
export function breaksRule(schema, value) {
  const length = typeof value === "string" ? [...value].length : NaN;
  return value < schema.minimum || value <= schema.exclusiveMinimum || value > schema.maximum
    || value >= schema.exclusiveMaximum || length < schema.minLength || length > schema.maxLength;
}
