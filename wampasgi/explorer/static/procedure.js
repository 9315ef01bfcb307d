/** The panel of one procedure: its description, the form, the call and its result. */
import { FORMS } from "./copy_as.js";
import { announce, badge, button, checkbox, copy, field, fill, h } from "./dom.js";
import { createForm } from "./forms.js";
import { linkWith } from "./links.js";
import { markdown } from "./markdown.js";
import { createProgress } from "./progress.js";
import { errorView, payloadView } from "./result.js";
import { payloadShape } from "./shape.js";

/** The title, the badges and the description of an entry. */
export function heading(entry, kind) {
  return [
    h("header", {},
      h("p", { class: "kind" }, kind,
        entry.match !== "exact" && badge(entry.match), entry.provider === "client" && badge("registered by a client", "note"),
        entry.deprecated && badge("deprecated", "warn"), entry.tags.map((tag) => badge(tag, "tag"))),
      h("h1", { tabindex: "-1" }, entry.uri || `Any ${kind}`),
      entry.summary && h("p", { class: "lead" }, entry.summary)),
    entry.description && markdown(entry.description),
  ];
}

/** A field for the URI of a pattern: `{element, value()}`, or null if the entry has only one URI. */
export function uriField(entry, label) {
  if (entry.match === "exact") return null;
  const hint = entry.uri ? `A URI that fits the ${entry.match} pattern ${entry.uri}` : "";
  const { element, input } = field(label, { class: "mono", required: true }, hint);
  if (entry.match !== "regex") input.value = entry.uri;
  return {
    element,
    input,
    value() {
      const uri = input.value.trim();
      if (uri) return uri;
      input.focus();
      throw new Error("Enter a URI first.");
    },
  };
}

/** A section that can be closed. */
export function section(title, open, ...content) {
  return h("details", { class: "part", open }, h("summary", {}, title), content);
}

/** Buttons that fill a form with the examples of an entry. */
export function exampleButtons(examples, form) {
  return examples.length > 0 && h("p", { class: "examples" }, "Examples: ", examples.map((example, index) =>
    button(example.summary ?? `Example ${index + 1}`, () => form.set(example), { class: "small" })));
}

/** Return `{element, fill(payload), focus()}`. `page` is the shared state: see main.js. */
export function createProcedurePanel(entry, page) {
  const defs = page.description?.$defs ?? {};
  const form = createForm({ parameters: entry.parameters, defs, onChange: () => refreshCopy() });
  const uri = uriField(entry, "Procedure");
  const timeout = field("Timeout in seconds", { type: "number", min: "0", step: "any", placeholder: "none" });
  const progress = checkbox("Receive progress", entry.progressive, "Ask for progressive results");
  const disclose = checkbox("Disclose me", false, "Tell the callee who calls");
  const callButton = h("button", { type: "submit", class: "primary" }, "Call");
  const cancelButton = button("Cancel", () => running?.cancel(), { hidden: true });
  const elapsed = h("span", { class: "muted elapsed" });
  const outcome = h("div", { class: "outcome" });
  const copyPart = createCopyPart();
  let running = null;

  async function call(event) {
    event?.preventDefault();
    if (running) return;
    form.clearErrors();
    let request;
    try {
      request = current();
    } catch (error) {
      fill(outcome, h("p", { class: "notice danger", role: "alert" }, error.message));
      return;
    }
    const reports = createProgress(entry.progress, defs);
    const started = performance.now();
    const show = () => (elapsed.textContent = duration(performance.now() - started));
    const clock = setInterval(show, 100);
    fill(outcome, reports.element);
    busy(true);
    const scroll = () => outcome.scrollIntoView({ block: "nearest" });
    try {
      running = page.session.call(request.uri, request.args, request.kwargs, {
        timeout: request.timeout, discloseMe: disclose.input.checked,
        onProgress: progress.input.checked ? reports.add : null,
      });
      const result = await running.result;
      show();
      fill(outcome, reports.element, payloadView("Result", result, entry.result, defs));
      announce(`Result after ${elapsed.textContent}`);
    } catch (error) {
      show();
      const unmatched = fieldErrors(error);
      fill(outcome, reports.element, errorView(error, page.description, unmatched));
      announce(`Error ${error.uri ?? error.message}`);
    } finally {
      clearInterval(clock);
      reports.end();
      running = null;
      busy(false);
    }
  }

  /** Mark the fields that the server complains about, and return the errors that have no field. */
  function fieldErrors(error) {
    const errors = error.uri === "wamp.error.invalid_argument" ? error.kwargs.errors : null;
    return Array.isArray(errors) ? form.showErrors(errors) : null;
  }

  function busy(is) {
    callButton.disabled = is;
    cancelButton.hidden = !is;
    outcome.setAttribute("aria-busy", is);
    if (!is && document.activeElement === document.body) callButton.focus();
  }

  function current() {
    const seconds = Number(timeout.input.value);
    return { uri: uri ? uri.value() : entry.uri, ...form.value(), timeout: seconds > 0 ? seconds : null };
  }

  function createCopyPart() {
    const code = h("code", {});
    const picker = h("select", { "aria-label": "Language", onchange: () => refreshCopy() },
      Object.keys(FORMS).map((name) => h("option", {}, name)));
    const element = h("details", { class: "part copy", ontoggle: () => refreshCopy() }, h("summary", {}, "Copy as"),
      h("div", { class: "row" }, picker, button("Copy", (event) => copy(code.textContent, event.target)),
        button("Copy link", (event) => copyLink(event.target))),
      h("pre", {}, code));
    return { element, code, picker };
  }

  function refreshCopy() {
    if (!copyPart.element.open || !page.session) return;
    try {
      const request = current();
      const target = { session: page.session, method: page.method, parameters: entry.parameters };
      copyPart.code.textContent = FORMS[copyPart.picker.value]({ ...target, ...request });
    } catch (error) {
      copyPart.code.textContent = error.message;
    }
  }

  function copyLink(target) {
    try {
      const request = current();
      const address = new URL(linkWith("procedure", entry, request), location.href);
      copy(address.href, target);
    } catch (error) {
      copyPart.code.textContent = error.message;
    }
  }

  timeout.input.addEventListener("input", () => refreshCopy());
  uri?.input.addEventListener("input", () => refreshCopy());
  const element = h("article", { class: "panel" },
    heading(entry, "procedure"),
    h("form", { class: "call", novalidate: true, onsubmit: call },
      uri?.element, exampleButtons(entry.examples, form), form.element,
      h("fieldset", { class: "options" }, h("legend", {}, "Options"), timeout.element, progress.element, disclose.element),
      h("div", { class: "row actions" }, callButton, cancelButton, elapsed)),
    outcome, copyPart.element,
    entry.result && section("Result type", false, payloadShape(entry.result, defs)),
    entry.progress && section("Progress type", false, payloadShape(entry.progress, defs)),
    entry.errors.length > 0 && section("Errors", false, errorList()));

  function errorList() {
    const described = new Map(page.description?.errors.map((error) => [error.uri, error]));
    return entry.errors.map((name) => {
      const error = described.get(name);
      return h("div", { class: "declared" }, h("code", {}, name), error?.description && markdown(error.description),
        error?.payload && payloadShape(error.payload, defs));
    });
  }

  return { element, fill: (payload) => form.set(payload), focus: () => form.focus() };
}

function duration(milliseconds) {
  return milliseconds < 1000 ? `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
