/** The parts that the panels of procedures and topics share. */
import { badge, button, field, h } from "./dom.js";
import { inline, markdown } from "./markdown.js";
import { errorView } from "./result.js";

/** Return the title, the badges and the description of an entry. */
export function heading(entry, kind) {
  return [
    h("header", {},
      h("p", { class: "kind" }, kind, entry.match !== "exact" && badge(entry.match),
        entry.provider === "client" && badge("registered by a client", "note"),
        entry.deprecated && badge("deprecated", "warn"), entry.tags.map((tag) => badge(tag))),
      h("h1", { tabindex: "-1" }, entry.uri || `Any ${kind}`),
      entry.summary && h("p", { class: "lead" }, inline(entry.summary))),
    entry.description && markdown(entry.description),
  ];
}

const PATTERNS = { prefix: "begins with", wildcard: "has one more component in each gap of", regex: "matches" };

/**
 * Return a field for a URI that fits a pattern: `{element, input, initial, value}`. `value()` throws if it is not
 * complete, and moves the focus to it, unless `mark` is false. There is no element for an exact URI.
 */
export function uriField(entry, label) {
  if (entry.match === "exact") return { value: () => entry.uri };
  const example = exampleURI(entry);
  const hint = entry.uri && `A ${label.toLowerCase()} that ${PATTERNS[entry.match]} ${entry.uri}`;
  const { element, input } = field(label, { class: "mono" }, example ? `${hint}, such as ${example}` : hint);
  const initial = example ?? (entry.match === "regex" ? "" : entry.uri);
  input.value = initial;
  return { element, input, initial, value({ mark = true } = {}) {
    const uri = input.value.trim();
    if (!uri.split(".").includes("")) return uri;
    if (mark) input.focus();
    throw new Error(uri ? `${uri} is only a part of a URI: complete it.` : "Enter a URI first.");
  } };
}

/** Return the first URI in the description of a pattern that fits it. */
function exampleURI({ match, uri, summary, description }) {
  if (!uri) return undefined;
  const parts = uri.split(".");
  const fits = {
    prefix: (word) => word.startsWith(uri) && word !== uri,
    wildcard: (word) => word.split(".").length === parts.length
      && word.split(".").every((part, index) => part && [part, ""].includes(parts[index])),
  }[match];
  return fits && `${summary} ${description}`.slice(0, 5000).match(/[\w.-]*\w/g)?.find(fits);
}

export function section(title, open, ...content) {
  return h("details", { class: "part", open }, h("summary", {}, title), content);
}

/** Return buttons that fill a form with the examples of an entry. */
export function exampleButtons(examples, form) {
  return examples.length > 0 && h("p", { class: "row muted" }, "Examples: ", examples.map((example, index) =>
    button(example.summary ?? `Example ${index + 1}`, () => form.set(example), { class: "small" })));
}

/** Mark the fields that the server complains about, and return a view of the error with the rest. */
export function failure(error, form, description) {
  const errors = error.uri === "wamp.error.invalid_argument" ? error.kwargs.errors : null;
  return errorView(error, description, Array.isArray(errors) ? form.showErrors(errors) : null);
}
