/** The panel of one topic: its description, subscriptions, and a form that publishes. */
import { announce, checkbox, fill, h } from "./dom.js";
import { createForm } from "./forms.js";
import { exampleButtons, heading, section, uriField } from "./procedure.js";
import { errorView } from "./result.js";
import { payloadShape } from "./shape.js";

/** Return `{element, fill(payload), focus()}`. `page` is the shared state: see main.js. */
export function createTopicPanel(entry, page) {
  const defs = page.description?.$defs ?? {};
  const publication = entry.publish ? createPublication(entry, page, defs) : null;
  const element = h("article", { class: "panel" },
    heading(entry, "topic"),
    entry.subscribe && createSubscription(entry, page),
    publication?.element,
    !entry.publish && entry.examples.length > 0 && section("Examples", false,
      entry.examples.map(({ summary, args, kwargs }) => h("pre", {}, h("code", {}, [summary, JSON.stringify({ args, kwargs }, null, 2)]
        .filter(Boolean).join("\n"))))),
    entry.uri && section("Event type", true, payloadShape(entry.event, defs)));
  const noForm = { fill() {}, focus() {} };
  return { element, ...(publication ?? noForm), element };
}

function createSubscription(entry, page) {
  const uri = uriField(entry, "Topic");
  const matches = entry.uri ? ["exact", entry.match].filter((match) => match !== "regex") : ["prefix", "exact", "wildcard"];
  const match = h("select", { "aria-label": "Match" }, [...new Set(matches)].reverse().map((name) => h("option", {}, name)));
  const toggle = h("button", { type: "submit" }, "Subscribe");
  const outcome = h("div", { class: "outcome" });
  const chosen = () => (uri ? [uri.input.value.trim(), match.value] : [entry.uri, "exact"]);
  const show = () => {
    const active = page.events.find(...chosen());
    toggle.textContent = active ? "Unsubscribe" : "Subscribe";
    toggle.classList.toggle("primary", !active);
  };
  const submit = async (event) => {
    event.preventDefault();
    fill(outcome);
    const [topic, how] = chosen();
    try {
      if (page.events.find(topic, how)) await page.events.unsubscribe(topic, how);
      else await page.events.subscribe(topic, how);
      announce(page.events.find(topic, how) ? `Subscribed to ${topic}` : `Unsubscribed from ${topic}`);
    } catch (error) {
      fill(outcome, errorView(error, page.description));
    }
  };
  page.events.onchange(show);
  uri?.input.addEventListener("input", show);
  match.addEventListener("change", show);
  show();
  return h("form", { class: "subscribe", novalidate: true, onsubmit: submit },
    uri && h("div", { class: "row" }, uri.element, matches.length > 1 && h("label", { class: "labelled" }, h("span", {}, "Match"), match)),
    h("div", { class: "row actions" }, toggle), outcome);
}

function createPublication(entry, page, defs) {
  const uri = uriField(entry, "Topic");
  const form = createForm({ parameters: entry.parameters, defs, onChange: () => {} });
  const acknowledge = checkbox("Acknowledge", true, "Wait until the server has accepted the event, so that errors are shown");
  const own = checkbox("Send it to me, too", true, "If this page has subscribed to the topic");
  const outcome = h("div", { class: "outcome" });
  const submit = async (event) => {
    event.preventDefault();
    form.clearErrors();
    fill(outcome);
    try {
      const { args, kwargs } = form.value();
      const options = { acknowledge: acknowledge.input.checked, excludeMe: !own.input.checked };
      const id = await page.session.publish(uri ? uri.value() : entry.uri, args, kwargs, options);
      fill(outcome, h("p", { class: "notice" }, id === null ? "Sent." : `Published, publication ID ${id}.`));
      announce("Published");
    } catch (error) {
      const errors = error.uri === "wamp.error.invalid_argument" ? error.kwargs.errors : null;
      fill(outcome, errorView(error, page.description, Array.isArray(errors) ? form.showErrors(errors) : null));
      announce(`Error ${error.uri ?? error.message}`);
    }
  };
  const element = h("form", { class: "publish", novalidate: true, onsubmit: submit },
    h("h2", {}, "Publish"), uri?.element, exampleButtons(entry.examples, form), form.element,
    h("fieldset", { class: "options" }, h("legend", {}, "Options"), acknowledge.element, own.element),
    h("div", { class: "row actions" }, h("button", { type: "submit", class: "primary" }, "Publish")), outcome);
  return { element, fill: (payload) => form.set(payload), focus: () => form.focus() };
}
