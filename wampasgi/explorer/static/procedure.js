/** The panel of one procedure: its description, the form, the call and its result. */
import { FORMS } from "./copy_as.js";
import { announce, button, checkbox, copy, field, fill, h } from "./dom.js";
import { exampleButtons, failure, heading, section, uriField } from "./entry.js";
import { createForm } from "./forms.js";
import { linkWith } from "./links.js";
import { markdown } from "./markdown.js";
import { createProgress } from "./progress.js";
import { payloadView } from "./result.js";
import { payloadShape } from "./shape.js";

/** Return `{element, form}`. `page` is the state that main.js shares. */
export function createProcedurePanel(entry, page) {
  const defs = page.description?.$defs ?? {};
  const form = createForm({ parameters: entry.parameters, defs, onChange: showCode });
  const uri = uriField(entry, "Procedure");
  const timeout = field("Timeout in seconds", { type: "number", min: "0", step: "any", placeholder: "none" });
  const progress = checkbox("Receive progress", entry.progressive, "Ask for progressive results");
  const disclose = checkbox("Disclose me", false, "Tell the callee who calls");
  const callButton = h("button", { type: "submit", class: "primary" }, "Call");
  const cancelButton = button("Cancel", () => running?.cancel(), { hidden: true });
  const elapsed = h("span", { class: "muted elapsed" });
  const outcome = h("section", { class: "outcome", "aria-label": "Outcome" });
  const code = h("code", {});
  const languages = Object.keys(FORMS).map((name) => h("option", {}, name));
  const language = h("select", { "aria-label": "Language", onchange: showCode }, languages);
  const copyPart = h("details", { class: "part copy", ontoggle: showCode }, h("summary", {}, "Copy as"),
    h("div", { class: "row" }, language,
      button("Copy", ({ target }) => copy(code.textContent, target)), button("Copy link", copyLink)),
    h("pre", {}, code));
  let running = null;

  async function call(event) {
    event.preventDefault();
    if (running) return;
    form.clearErrors();
    const reports = createProgress(entry.progress, defs);
    const started = performance.now();
    const showTime = () => (elapsed.textContent = duration(performance.now() - started));
    const clock = setInterval(showTime, 100);
    const show = (view, succeeded = false) => {
      reports.end(succeeded);
      fill(outcome, reports.element, view);
      outcome.scrollIntoView({ block: "nearest" });
    };
    try {
      const request = current();
      show();
      running = page.session.call(request.uri, request.args, request.kwargs, {
        timeout: request.timeout, discloseMe: disclose.input.checked, onProgress: progress.input.checked ? reports.add : null,
      });
      setBusy(true);
      const result = await running.result;
      showTime();
      show(payloadView("Result", result, entry.result, defs), true);
      announce(`Result after ${elapsed.textContent}`);
    } catch (error) {
      showTime();
      show(failure(error, form, page.description));
      announce(`Error ${error.uri ?? error.message}`);
    } finally {
      clearInterval(clock);
      running = null;
      setBusy(false);
    }
  }

  function setBusy(busy) {
    const focused = document.activeElement === (busy ? callButton : cancelButton);
    callButton.disabled = busy;
    cancelButton.hidden = !busy;
    outcome.setAttribute("aria-busy", busy);
    if (focused) (busy ? cancelButton : callButton).focus();
  }

  function current(options) {
    const seconds = Number(timeout.input.value);
    return { uri: uri.value(options), ...form.value(options), timeout: seconds > 0 ? seconds : null };
  }

  function showCode() {
    if (!copyPart.open || !page.session) return;
    try {
      const { session, method } = page;
      code.textContent = FORMS[language.value]({ session, method, parameters: entry.parameters, ...current({ mark: false }) });
    } catch (error) {
      code.textContent = error.message;
    }
  }

  function copyLink({ target }) {
    try {
      copy(new URL(linkWith("procedure", entry, form.value()), location.href).href, target);
    } catch (error) {
      code.textContent = error.message;
    }
  }

  function declaredErrors() {
    return entry.errors.map((name) => {
      const error = page.description.errors.find((found) => found.uri === name);
      return [h("h3", {}, h("code", {}, name)), error?.description && markdown(error.description),
        error?.payload && payloadShape(error.payload, defs)];
    });
  }

  for (const input of [timeout.input, uri.input]) input?.addEventListener("input", showCode);
  const element = h("article", { class: "panel call" },
    h("div", { class: "column" }, heading(entry, "procedure"),
      h("form", { novalidate: true, onsubmit: call },
        uri.element, exampleButtons(entry.examples, form), form.element,
        h("fieldset", { class: "options" }, h("legend", {}, "Options"), timeout.element, progress.element, disclose.element),
        h("div", { class: "row actions" }, callButton, cancelButton, elapsed))),
    outcome,
    h("div", { class: "column" }, copyPart,
      entry.result && section("Result type", false, payloadShape(entry.result, defs)),
      entry.progress && section("Progress type", false, payloadShape(entry.progress, defs)),
      entry.errors.length > 0 && section("Errors", false, declaredErrors())));
  return { element, form };
}

const duration = (time) => (time < 1000 ? `${time.toFixed(time < 10 ? 1 : 0)} ms` : `${(time / 1000).toFixed(1)} s`);
