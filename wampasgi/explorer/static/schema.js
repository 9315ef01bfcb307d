/**
 * Reading JSON Schemas, as pydantic writes them. Other clients describe procedures, too, so nothing in a schema
 * can be trusted to have the right type or a reasonable size.
 */

/** Larger values and schemas are edited as JSON. */
const MAX_PARTS = 200;
const MAX_BRANCHES = 40;
const BASE64 = /^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/;

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
export const isBase64 = (text) => BASE64.test(text);
export const listOf = (value) => (Array.isArray(value) ? value : []);
/** Return the value of a key, unless it is inherited. */
export const own = (value, key) => (isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined);
/** Return a text of a description, shortened, or "" if it is not a text. */
export const textOf = (value, length = 1000) =>
  typeof value !== "string" ? "" : value.length > length ? `${value.slice(0, length)}…` : value;
export const same = (one, other) => typeof one === "bigint" || typeof other === "bigint"
  ? one === other : JSON.stringify(one) === JSON.stringify(other);

/** Follow references and `allOf` with one entry. What stands next to them wins. */
export function resolve(schema, defs) {
  let found = isObject(schema) ? schema : {};
  for (let step = 0; step < 20; step += 1) {
    const { $ref, allOf, ...rest } = found;
    let target = listOf(allOf).length === 1 ? allOf[0] : null;
    if (typeof $ref === "string") target = own(defs, $ref.replace("#/$defs/", "").replaceAll("~1", "/").replaceAll("~0", "~"));
    else if (!target) return found;
    found = { ...(isObject(target) ? target : {}), ...rest };
  }
  return {};
}

/** Return the kind of a resolved schema: const, enum, union, any, bytes, or a JSON type. */
export function kindOf(schema) {
  if ("const" in schema) return "const";
  if (listOf(schema.enum).length) return schema.enum.length > MAX_PARTS ? "any" : "enum";
  if (Array.isArray(schema.anyOf ?? schema.oneOf ?? schema.type)) return "union";
  const { type } = schema;
  if (type === "string") return schema.format === "binary" ? "bytes" : "string";
  if (type === "object" || (!type && isObject(schema.properties))) {
    return Object.keys(schema.properties ?? {}).length > MAX_PARTS ? "any" : "object";
  }
  if (type === "array" || (!type && schema.prefixItems)) {
    return listOf(schema.prefixItems).length > MAX_PARTS ? "any" : "array";
  }
  return ["integer", "number", "boolean", "null"].includes(type) ? type : "any";
}

/** Return the resolved alternatives of a union, without unions among them. */
export function branchesOf(schema, defs) {
  const branches = [];
  let left = MAX_BRANCHES;
  const add = (part, depth) => {
    if ((left -= 1) < 0) return;
    const found = resolve(part, defs);
    if (kindOf(found) !== "union") branches.push(found);
    else if (depth < 4) alternatives(found).forEach((inner) => add(inner, depth + 1));
  };
  alternatives(schema).forEach((part) => add(part, 0));
  return branches;
}

function alternatives({ anyOf, oneOf, type, ...rest }) {
  return anyOf ?? oneOf ?? type.map((single) => ({ ...rest, type: single }));
}

/** Return the schema of an item of an array, or of a value of an object. */
export const itemOf = (schema, index) => listOf(schema.prefixItems)[index] ?? schema.items;
export const extraOf = (schema) => isObject(schema.additionalProperties) ? schema.additionalProperties
  : Object.values(isObject(schema.patternProperties) ? schema.patternProperties : {})[0];

/** Return whether a field for the schema can show the value. `depth` is the number of levels to look into it. */
export function fits(schema, value, defs, depth = 0) {
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
    case "array": return Array.isArray(value) && value.length <= MAX_PARTS && (depth < 1
      || value.every((item, index) => fits(resolve(itemOf(schema, index), defs), item, defs, depth - 1)));
    case "object": return isObject(value) && Object.keys(value).length <= MAX_PARTS && (depth < 1
      || fitsObject(schema, value, defs, depth));
    default: return value !== undefined;
  }
}

function fitsObject(schema, value, defs, depth) {
  return listOf(schema.required).every((name) => Object.hasOwn(value, name))
    && Object.entries(value).every(([name, item]) => {
      const property = own(schema.properties, name);
      if (property === undefined && schema.additionalProperties === false) return false;
      return fits(resolve(property ?? extraOf(schema), defs), item, defs, depth - 1);
    });
}

/** Return the index of the branch that shows a value best, or -1. */
export function bestBranch(schema, branches, value, defs) {
  const name = textOf(own(schema.discriminator, "propertyName"));
  const tag = name && own(value, name);
  const tagged = (branch) => tag !== undefined && fits(resolve(own(branch.properties, name), defs), tag, defs);
  const tests = [(branch) => fits(branch, value, defs, 4), (branch) => name && tagged(branch), (branch) => fits(branch, value, defs)];
  return tests.map((test) => branches.findIndex(test)).find((index) => index >= 0) ?? -1;
}

/** Return a short name for the type of a resolved schema. */
export function typeName(schema, defs) {
  const kind = kindOf(schema);
  if (kind === "union") return [...new Set(branchesOf(schema, defs).slice(0, 5).map((branch) => typeName(branch, defs)))].join(" | ");
  if (kind === "array" && !schema.prefixItems) return `list of ${textOf(resolve(schema.items, defs).title, 40) || kindOf(resolve(schema.items, defs))}`;
  if (kind === "const" || kind === "null") return textOf(schema.title, 40) && kind === "const" ? JSON.stringify(schema.const).slice(0, 40) : kind;
  if (kind === "string") return textOf(schema.format, 40) || "text";
  if (kind === "any") return textOf(schema["x-python-type"], 60) || "any JSON";
  if (kind === "enum") return "choice";
  return kind === "object" ? textOf(schema.title, 40) || "object" : kind;
}

const BOUNDS = { minimum: "at least", exclusiveMinimum: "more than", maximum: "at most", exclusiveMaximum: "less than",
  multipleOf: "a multiple of", minLength: "min. length", maxLength: "max. length", minItems: "min. items",
  maxItems: "max. items", pattern: "pattern" };
const FORMATS = { date: "2024-12-31", "date-time": "2024-12-31T12:00:00Z", time: "12:00:00", duration: "P1DT2H30M",
  uuid: "123e4567-e89b-12d3-a456-426614174000", email: "name@example.com", uri: "https://example.com/" };

/** Return the texts that help to fill in a value. */
export function hintsOf(schema) {
  const facts = Object.entries(BOUNDS).filter(([key]) => ["number", "string"].includes(typeof schema[key]))
    .map(([key, words]) => `${words} ${textOf(String(schema[key]), 100)}`);
  if (schema.uniqueItems === true) facts.push("no duplicates");
  if (schema.default !== undefined && schema.default !== null) facts.push(`default ${textOf(JSON.stringify(schema.default), 100)}`);
  const examples = listOf(schema.examples).slice(0, 3).map((example) => textOf(JSON.stringify(example), 100));
  const format = typeof schema.format === "string" && own(FORMATS, schema.format);
  if (examples.length) facts.push(`such as ${examples.join(", ")}`);
  else if (format) facts.push(`such as ${format}`);
  return [textOf(schema.description), facts.join(" · ")].filter(Boolean);
}

/** Return a warning if a readable value breaks a rule that the server will probably check. */
export function warningOf(schema, value) {
  const size = typeof value === "string" ? [...value].length : NaN;
  const broken = [
    value < schema.minimum || value <= schema.exclusiveMinimum || value > schema.maximum
      || value >= schema.exclusiveMaximum ? "This is outside of the limits." : "",
    size < schema.minLength ? `This is shorter than ${schema.minLength} characters.` : "",
    size > schema.maxLength ? `This is longer than ${schema.maxLength} characters.` : "",
  ];
  return broken.find(Boolean) ?? "";
}
