/** A call as source text in other languages. Secrets of the login never appear. */
import { isJSON } from "./links.js";
import { encode } from "./wamp.js";

const PYTHON_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const PYTHON_KEYWORDS = new Set(("False None True and as assert async await break class continue def del elif else except "
  + "finally for from global if import in is lambda nonlocal not or pass raise return try while with yield").split(" "));
/** Keyword arguments that `session.call` uses itself. */
const OWN_OPTIONS = new Set(["timeout", "result_type"]);
const SECRETS = { ticket: "ticket", wampcra: "secret", "wamp-scram": "secret", cryptosign: "private_key" };

/** The forms, by label. Each takes `{session, method, uri, args, kwargs, timeout, parameters}`. */
export const FORMS = { Python: python, TypeScript: typeScript, "Command line": commandLine };

function python({ session, method, uri, args, kwargs, timeout }) {
  const plain = (name) => PYTHON_NAME.test(name) && !PYTHON_KEYWORDS.has(name) && !OWN_OPTIONS.has(name);
  const entries = Object.entries(kwargs);
  const unusual = entries.filter(([name]) => !plain(name));
  const values = [
    text(uri),
    ...args.map(literal),
    ...entries.filter(([name]) => plain(name)).map(([name, value]) => `${name}=${literal(value)}`),
    ...(unusual.length ? [`**${literal(Object.fromEntries(unusual))}`] : []),
    ...(timeout ? [`timeout=${timeout}`] : []),
  ];
  const secret = SECRETS[method];
  const options = [text(session.url), `realm=${text(session.realm)}`];
  if (secret) {
    options.push(`authid=${text(session.authid)}`, `${secret}=os.environ["WAMPASGI_${secret.toUpperCase()}"]`);
  }
  return [
    "import asyncio",
    ...(secret ? ["import os"] : []),
    "",
    "from wampasgi.client import connect",
    "",
    "",
    "async def main() -> None:",
    `    async with connect(${options.join(", ")}) as session:`,
    `        print(await session.call(${values.join(", ")}))`,
    "",
    "",
    "asyncio.run(main())",
  ].join("\n");
}

// JSON escapes are escapes in Python, too.
const text = (value) => JSON.stringify(value);

function literal(value) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "string") return text(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, item]) => `${text(key)}: ${literal(item)}`).join(", ")}}`;
  }
  return String(value);
}

function typeScript({ uri, args, kwargs, timeout }) {
  const values = [script(uri)];
  const named = Object.keys(kwargs).length > 0;
  if (args.length || named || timeout) values.push(script(args));
  if (named || timeout) values.push(script(kwargs));
  if (timeout) values.push(`{ timeout: ${Math.round(timeout * 1000)} }`);
  return `const result = await session.call(${values.join(", ")});`;
}

function script(value) {
  if (Array.isArray(value)) return `[${value.map(script).join(", ")}]`;
  if (value === null || typeof value !== "object") return typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
  const entries = Object.entries(value);
  const key = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) && name !== "__proto__" ? name : `[${JSON.stringify(name)}]`);
  return entries.length ? `{ ${entries.map(([name, item]) => `${key(name)}: ${script(item)}`).join(", ")} }` : "{}";
}

function commandLine({ session, method, uri, args, kwargs, timeout, parameters }) {
  const options = ["--url", session.url, "--realm", session.realm];
  if (SECRETS[method]) options.push("--authid", session.authid);
  if (timeout) options.push("--timeout", String(timeout));
  const described = (name) => parameters?.find((parameter) => parameter.name === name);
  const words = [
    ...args.map((value, index) => word(value, parameters?.[index], true)),
    ...Object.entries(kwargs).map(([name, value]) => `${name}=${word(value, described(name), false)}`),
  ];
  const separator = [uri, ...words].some((value) => value.startsWith("-"));
  const command = separator
    ? ["wampasgi", "call", ...options, "--", uri, ...words]
    : ["wampasgi", "call", uri, ...words, ...options];
  return command.map(quoted).join(" ");
}

/** A value as one word. A backslash says that a text which could be read as something else is text. */
function word(value, parameter, positional) {
  if (typeof value !== "string") return encode(value);
  const special = /^[@\\]|^-$/.test(value) || (positional && /^[^\s"'[{]+=/.test(value));
  const typed = parameter?.schema?.type === "string";
  return special || (isJSON(value) && (!typed || value.startsWith('"'))) ? `\\${value}` : value;
}

const quoted = (value) => (/^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`);
