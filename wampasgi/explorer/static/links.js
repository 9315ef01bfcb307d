/**
 * Links to procedures and topics: `#/math.add?a=1`, `#/prefix/shop.reports.`, `#/topic/shop.changed`.
 * A link fills a form. It never calls.
 */
import { decode, encode } from "./wamp.js";

const MATCHES = ["prefix", "wildcard", "regex"];

/** Return the link of an entry, without arguments. */
export function linkTo(kind, { match, uri }) {
  const parts = [kind === "topic" ? "topic" : null, match === "exact" ? null : match, encodeURIComponent(uri)];
  return `#/${parts.filter((part) => part !== null).join("/")}`;
}

/**
 * Return the link of an entry with arguments: keyword arguments by name, others by position. Secret parameters,
 * such as passwords, are left out.
 */
export function linkWith(kind, entry, { args, kwargs }) {
  const parameters = entry.parameters ?? [];
  const query = new URLSearchParams();
  const add = (name, value, parameter) => {
    const { format, writeOnly } = parameter?.schema ?? {};
    if (format !== "password" && !writeOnly) query.append(name, textOf(value, parameter));
  };
  args.forEach((value, index) => add(String(index), value, parameters[index]));
  for (const [name, value] of Object.entries(kwargs)) {
    add(name, value, parameters.find((parameter) => parameter.name === name));
  }
  return linkTo(kind, entry) + (query.size ? `?${query}` : "");
}

/** Parse `location.hash`. Returns `{kind, match, uri, query}`, or null if it names nothing. */
export function parseLink(hash) {
  const found = /^#\/([^?]*)(?:\?(.*))?$/.exec(hash);
  if (!found) return null;
  const parts = found[1].split("/");
  const kind = parts.length > 1 && parts[0] === "topic" ? parts.shift() : "procedure";
  const match = parts.length > 1 && MATCHES.includes(parts[0]) ? parts.shift() : "exact";
  try {
    const uri = decodeURIComponent(parts.join("/"));
    return uri || match !== "exact" ? { kind, match, uri, query: new URLSearchParams(found[2] ?? "") } : null;
  } catch {
    // Not an encoded URI.
    return null;
  }
}

/** Return the arguments in a link. Texts stay texts for parameters of type string. */
export function payloadOf({ query }, parameters) {
  const args = [];
  const kwargs = {};
  for (const [name, text] of query) {
    const position = /^\d{1,3}$/.test(name) ? Number(name) : null;
    const parameter = position === null
      ? parameters?.find((candidate) => candidate.name === name || candidate.aliases.includes(name))
      : parameters?.[position];
    if (position === null) kwargs[name] = valueOf(text, parameter);
    else args[position] = valueOf(text, parameter);
  }
  return { args: Array.from(args, (value) => value ?? null), kwargs };
}

const isText = (parameter) => parameter?.schema?.type === "string";

function textOf(value, parameter) {
  return typeof value === "string" && (isText(parameter) || !isJSON(value)) ? value : encode(value);
}

function valueOf(text, parameter) {
  return isText(parameter) || !isJSON(text) ? text : decode(text);
}

/** Return whether a text is JSON, so that it is not what it looks like. */
export function isJSON(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
