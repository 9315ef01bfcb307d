/** The parts that the panels of procedures and topics share. */
import { badge, button, field, h } from "./dom.js";
import { markdown } from "./markdown.js";
import { errorView } from "./result.js";

/** Return the title, the badges and the description of an entry. */
export function heading(entry, kind) {
  return [
    h("header", {},
      h("p", { class: "kind" }, kind, entry.match !== "exact" && badge(entry.match),
        entry.provider === "client" && badge("registered by a client", "note"),
        entry.deprecated && badge("deprecated", "warn"), entry.tags.map((tag) => badge(tag))),
      h("h1", { tabindex: "-1" }, entry.uri || `Any ${kind}`),
      entry.summary && h("p", { class: "lead" }, entry.summary)),
    entry.description && markdown(entry.description),
  ];
}

/** Return a field for the URI of a pattern: `{element, input, value}`. There is no element for an exact URI. */
export function uriField(entry, label) {
  if (entry.match === "exact") return { value: () => entry.uri };
  const hint = entry.uri && `A URI that fits the ${entry.match} pattern ${entry.uri}`;
  const { element, input } = field(label, { class: "mono" }, hint);
  if (entry.match !== "regex") input.value = entry.uri;
  return { element, input, value() {
    const uri = input.value.trim();
    if (uri) return uri;
    input.focus();
    throw new Error("Enter a URI first.");
  } };
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
