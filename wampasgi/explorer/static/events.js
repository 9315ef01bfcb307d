/** The events of all subscriptions: one list, newest first, with a filter, a pause and rates. */
import { badge, button, fill, h } from "./dom.js";
import { textOf } from "./progress.js";
import { payloadView } from "./result.js";

const MAX_SHOWN = 500;
const MAX_TEXT = 300;

/** Return `{element, has, subscribe, unsubscribe, onchange, restore, forget}`. */
export function createEvents(page) {
  const subscriptions = new Map();
  const records = new WeakMap();
  const listeners = new Set();
  const list = h("div", { class: "events" });
  const chips = h("ul", { class: "chips" });
  const numbers = h("span", { class: "muted" });
  const filter = h("input", { type: "search", "aria-label": "Filter events", placeholder: "Filter events", oninput: redraw });
  const pause = button("Pause", () => setPaused(!paused));
  const none = h("p", { class: "muted none" }, "No events yet.");
  const element = h("section", { class: "dock", "aria-label": "Events", hidden: true },
    h("header", {}, h("h2", {}, "Events"), numbers, filter, pause, button("Clear", clear)), chips, none, list);
  let shown = [];
  let fresh = [];
  let frame = 0;
  let clock = 0;
  let paused = false;
  const all = { total: 0, last: 0 };

  // The event does not bubble.
  list.addEventListener("toggle", ({ target }) => {
    if (target.open && target.childElementCount === 1) target.append(bodyOf(records.get(target)));
  }, true);

  function add(subscription, event) {
    all.total += 1;
    subscription.total += 1;
    fresh.push({ ...event, time: new Date(), subscription });
    if (fresh.length > 2 * MAX_SHOWN) fresh = fresh.slice(-MAX_SHOWN);
    if (!paused) frame ||= requestAnimationFrame(draw);
  }

  /** Add rows for new events, but no more than are shown at all. */
  function draw() {
    frame = 0;
    const rows = fresh.slice(-MAX_SHOWN);
    fresh = [];
    shown = [...shown, ...rows].slice(-MAX_SHOWN);
    addRows(rows);
  }

  function addRows(rows) {
    list.prepend(...rows.filter(fits).reverse().map(createRow));
    while (list.childElementCount > MAX_SHOWN) list.lastElementChild.remove();
    none.hidden = list.childElementCount > 0;
    showNumbers();
  }

  function redraw() {
    list.replaceChildren();
    addRows(shown);
  }

  function fits(record) {
    record.text ??= textOf(record, MAX_TEXT);
    return `${record.topic} ${record.text}`.toLowerCase().includes(filter.value.trim().toLowerCase());
  }

  function createRow(record) {
    const { time, topic, text } = record;
    const shownTime = `${time.toLocaleTimeString("en-GB")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
    const row = h("details", { class: "event" }, h("summary", {},
      h("time", { datetime: time.toISOString() }, shownTime), h("span", { class: "topic" }, topic), h("code", {}, text)));
    records.set(row, record);
    return row;
  }

  function bodyOf({ topic, args, kwargs, details, subscription }) {
    const { topics = [], $defs = {} } = page.description ?? {};
    const entry = topics.find(({ uri }) => uri === topic) ?? topics.find(({ uri }) => uri === subscription.topic);
    const facts = Object.entries(details).filter(([name]) => name !== "topic").map(([name, value]) => `${name}: ${value}`);
    return h("div", {}, payloadView("Payload", { args, kwargs }, entry?.event, $defs),
      h("p", { class: "muted" }, facts.join(", ")));
  }

  function setPaused(value) {
    paused = value;
    pause.textContent = paused ? "Resume" : "Pause";
    if (!paused) draw();
  }

  function clear() {
    shown = [];
    fresh = [];
    for (const counter of [all, ...subscriptions.values()]) counter.total = counter.last = 0;
    redraw();
  }

  function showNumbers(rate = null) {
    const waiting = fresh.length > MAX_SHOWN ? `more than ${MAX_SHOWN}` : fresh.length;
    const facts = [`${all.total} received`, rate !== null && `${rate}/s`, paused && fresh.length > 0 && `${waiting} not shown`];
    numbers.textContent = facts.filter(Boolean).join(", ");
  }

  function rateOf(counter) {
    const rate = counter.total - counter.last;
    counter.last = counter.total;
    return rate;
  }

  function tick() {
    showNumbers(rateOf(all));
    for (const subscription of subscriptions.values()) {
      subscription.rate.textContent = `${subscription.total} · ${rateOf(subscription)}/s`;
    }
  }

  const keyOf = (topic, match) => `${match} ${topic}`;

  async function start(subscription) {
    const { topic, match } = subscription;
    const revoked = (reason) => {
      subscriptions.delete(keyOf(topic, match));
      page.notify(`The server has ended the subscription to ${topic} (${reason}).`);
      changed();
    };
    subscription.stop = await page.session.subscribe(topic, match, (event) => add(subscription, event), revoked);
  }

  async function subscribe(topic, match) {
    const subscription = { topic, match, total: 0, last: 0, rate: h("span", { class: "muted" }) };
    await start(subscription);
    subscriptions.set(keyOf(topic, match), subscription);
    changed();
  }

  async function unsubscribe(topic, match) {
    const { stop } = subscriptions.get(keyOf(topic, match));
    subscriptions.delete(keyOf(topic, match));
    changed();
    if (page.session.open) await stop();
  }

  function changed() {
    fill(chips, [...subscriptions.values()].map(({ topic, match, rate }) => h("li", {},
      h("span", { class: "topic" }, topic || "everything"), match !== "exact" && badge(match), rate,
      button("✕", () => unsubscribe(topic, match), { "aria-label": `Unsubscribe from ${topic}`, class: "bare" }))));
    element.hidden = !subscriptions.size && !all.total;
    clearInterval(clock);
    clock = subscriptions.size && setInterval(tick, 1000);
    listeners.forEach((listener) => listener());
  }

  return {
    element, subscribe, unsubscribe,
    has: (topic, match) => subscriptions.has(keyOf(topic, match)),
    onchange: (listener) => listeners.add(listener),
    /** Subscribe to the same topics with a new session. */
    async restore() {
      for (const subscription of [...subscriptions.values()]) {
        await start(subscription).catch((error) => {
          subscriptions.delete(keyOf(subscription.topic, subscription.match));
          page.notify(`No subscription to ${subscription.topic}: ${error.message}`);
        });
      }
      changed();
    },
    /** Forget everything, because another user may join. */
    forget() {
      subscriptions.clear();
      listeners.clear();
      setPaused(false);
      clear();
      changed();
    },
  };
}
