/** The panel of one topic: its description, subscriptions, and a form that publishes. */
import { announce, checkbox, fill, h, labelled } from "./dom.js";
import { exampleButtons, failure, heading, section, uriField } from "./entry.js";
import { createForm } from "./forms.js";
import { errorView } from "./result.js";
import { payloadShape } from "./shape.js";
import { encode } from "./wamp.js";

/** Return `{element, form}`, without a form if clients cannot publish. `page` is the state that main.js shares. */
export function createTopicPanel(entry, page) {
  const defs = page.description?.$defs ?? {};
  const publication = entry.publish && createPublication(entry, page, defs);
  const element = h("article", { class: "panel" },
    heading(entry, "topic"),
    h("div", { class: "column forms" }, entry.subscribe && createSubscription(entry, page), publication?.element),
    !publication && entry.examples.length > 0 && section("Examples", false, entry.examples.map(({ summary, args, kwargs }) =>
      [summary && h("p", {}, summary), h("pre", {}, h("code", {}, encode({ args, kwargs }, 2)))])),
    entry.event && section("Event type", true, payloadShape(entry.event, defs)));
  return { element, form: publication ? publication.form : null };
}

function createSubscription(entry, page) {
  const uri = uriField(entry, "Topic");
  // Subscriptions cannot match by regular expressions.
  const policies = ["exact", "prefix", "wildcard"];
  const matches = entry.uri ? policies.filter((name) => name === "exact" || name === entry.match) : policies;
  const match = h("select", { onchange: choose }, matches.map((name) => h("option", {}, name)));
  const toggle = h("button", { type: "submit" });
  const outcome = h("div", { class: "outcome" });
  const chosen = () => [uri.input ? uri.input.value.trim() : entry.uri, match.value];

  function choose() {
    if (entry.uri) uri.input.value = match.value === "exact" ? uri.initial : entry.uri;
    show();
  }

  function show() {
    const active = page.events.has(...chosen());
    toggle.textContent = active ? "Unsubscribe" : "Subscribe";
    toggle.className = active ? "" : "primary";
  }

  async function submit(event) {
    event.preventDefault();
    fill(outcome);
    const active = page.events.has(...chosen());
    try {
      // Only patterns may be incomplete.
      if (match.value === "exact") uri.value();
      await (active ? page.events.unsubscribe : page.events.subscribe)(...chosen());
      announce(active ? "Unsubscribed" : "Subscribed");
    } catch (error) {
      fill(outcome, errorView(error, page.description));
    }
  }

  page.events.onchange(show);
  uri.input?.addEventListener("input", show);
  show();
  return h("form", { class: "subscribe", novalidate: true, onsubmit: submit },
    uri.element, matches.length > 1 && labelled("Match", match).element, h("div", { class: "row" }, toggle), outcome);
}

function createPublication(entry, page, defs) {
  const uri = uriField(entry, "Topic");
  const form = createForm({ parameters: entry.parameters, defs, onChange() {} });
  const acknowledge = checkbox("Acknowledge", true, "Wait until the server has accepted the event, so that errors are shown");
  const own = checkbox("Send it to me, too", true, "If this page has subscribed to the topic");
  const outcome = h("div", { class: "outcome" });

  async function submit(event) {
    event.preventDefault();
    form.clearErrors();
    fill(outcome);
    try {
      const { args, kwargs } = form.value();
      const options = { acknowledge: acknowledge.input.checked, excludeMe: !own.input.checked };
      const id = await page.session.publish(uri.value(), args, kwargs, options);
      fill(outcome, h("p", { class: "notice" }, id === null ? "Sent." : `Published, publication ID ${id}.`));
      announce("Published");
    } catch (error) {
      fill(outcome, failure(error, form, page.description));
      announce(`Error ${error.uri ?? error.message}`);
    }
  }

  const element = h("form", { class: "publish", novalidate: true, onsubmit: submit },
    h("h2", {}, "Publish"), uri.element, exampleButtons(entry.examples, form), form.element,
    h("fieldset", { class: "options" }, h("legend", {}, "Options"), acknowledge.element, own.element),
    h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, "Publish")), outcome);
  return { element, form };
}
