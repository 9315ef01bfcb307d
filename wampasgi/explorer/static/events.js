/** The events of all subscriptions: one list, newest first, with a filter, a pause and rates. */
import { button, fill, h } from "./dom.js";
import { textOf } from "./progress.js";
import { payloadView } from "./result.js";

const MAX_SHOWN = 500;
const PREVIEW = 300;

/** Return `{element, find, subscribe, unsubscribe, restore, forget, onchange}`. */
export function createEvents(page) {
  const subscriptions = new Map();
  const records = new WeakMap();
  const list = h("div", { class: "events" });
  const chips = h("ul", { class: "chips" });
  const numbers = h("span", { class: "muted numbers" });
  const filter = h("input", { type: "search", "aria-label": "Filter events", placeholder: "Filter events", oninput: () => redraw() });
  const pause = button("Pause", () => setPaused(!paused), { "aria-pressed": "false" });
  const empty = h("p", { class: "muted none" }, "No events yet.");
  const element = h("section", { class: "dock", "aria-label": "Events", hidden: true },
    h("header", {}, h("h2", {}, "Events"), numbers, filter, pause, button("Clear", clear)), chips, empty, list);
  const listeners = new Set();
  let kept = [];
  let fresh = [];
  let frame = 0;
  let paused = false;
  let total = 0;
  let lastTotal = 0;
  let clock = 0;

  // The toggle event does not bubble.
  list.addEventListener("toggle", ({ target }) => {
    if (target.open && target.childElementCount === 1) target.append(bodyOf(records.get(target)));
  }, true);

  function add(subscription, event) {
    total += 1;
    subscription.total += 1;
    const record = { ...event, time: new Date(), subscription };
    fresh.push(record);
    if (fresh.length > 2 * MAX_SHOWN) fresh = fresh.slice(-MAX_SHOWN);
    if (!paused) frame ||= requestAnimationFrame(draw);
  }

  /** Add the new rows. At most as many as are shown, however many events have come. */
  function draw() {
    frame = 0;
    const rows = fresh.slice(-MAX_SHOWN);
    fresh = [];
    kept = kept.concat(rows).slice(-MAX_SHOWN);
    list.prepend(...rows.filter(fits).reverse().map(createRow));
    while (list.childElementCount > MAX_SHOWN) list.lastElementChild.remove();
    empty.hidden = list.childElementCount > 0;
    showNumbers();
  }

  function redraw() {
    list.replaceChildren();
    fresh = paused ? fresh : kept.concat(fresh);
    if (paused) list.append(...kept.filter(fits).reverse().map(createRow));
    else {
      kept = [];
      draw();
    }
  }

  function fits(record) {
    const wanted = filter.value.trim().toLowerCase();
    return !wanted || `${record.topic} ${preview(record)}`.toLowerCase().includes(wanted);
  }

  const preview = (record) => (record.preview ??= textOf(record, PREVIEW));

  function createRow(record) {
    const row = h("details", { class: "event" }, h("summary", {},
      h("time", { datetime: record.time.toISOString() }, clockTime(record.time)),
      h("span", { class: "topic" }, record.topic), h("code", {}, preview(record))));
    records.set(row, record);
    return row;
  }

  function bodyOf({ topic, args, kwargs, details, subscription }) {
    const topics = page.description?.topics ?? [];
    const entry = topics.find((found) => found.match === "exact" && found.uri === topic)
      ?? topics.find((found) => found.match === subscription.match && found.uri === subscription.topic);
    const known = Object.entries(details).filter(([name]) => name !== "topic");
    return h("div", {}, payloadView("Payload", { args, kwargs }, entry?.event, page.description?.$defs ?? {}),
      known.length > 0 && h("p", { class: "muted" }, known.map(([name, value]) => `${name}: ${value}`).join(", ")));
  }

  function setPaused(value) {
    paused = value;
    pause.textContent = paused ? "Resume" : "Pause";
    pause.setAttribute("aria-pressed", paused);
    if (!paused) draw();
    showNumbers();
  }

  function clear() {
    kept = [];
    fresh = [];
    total = lastTotal = 0;
    for (const subscription of subscriptions.values()) subscription.total = subscription.last = 0;
    list.replaceChildren();
    empty.hidden = false;
    showNumbers();
  }

  function showNumbers() {
    const waiting = paused && fresh.length ? `, ${fresh.length > MAX_SHOWN ? `${MAX_SHOWN}+` : fresh.length} not shown` : "";
    numbers.textContent = `${total.toLocaleString("en")} received${waiting}`;
  }

  /** Once a second: the rates. */
  function tick() {
    showNumbers();
    numbers.textContent += `, ${total - lastTotal}/s`;
    lastTotal = total;
    for (const subscription of subscriptions.values()) {
      subscription.rate.textContent = `${subscription.total.toLocaleString("en")} · ${subscription.total - subscription.last}/s`;
      subscription.last = subscription.total;
    }
  }

  const keyOf = (topic, match) => `${match} ${topic}`;

  async function subscribe(topic, match) {
    const subscription = { topic, match, total: 0, last: 0, rate: h("span", { class: "muted" }), active: null };
    await start(subscription);
    if (subscriptions.has(keyOf(topic, match))) await unsubscribe(topic, match);
    subscriptions.set(keyOf(topic, match), subscription);
    changed();
  }

  async function start(subscription) {
    const { topic, match } = subscription;
    const revoked = (reason) => {
      subscriptions.delete(keyOf(topic, match));
      page.notify(`The server has ended the subscription to ${topic} (${reason}).`);
      changed();
    };
    subscription.active = await page.session.subscribe(topic, match, (event) => add(subscription, event), revoked);
  }

  async function unsubscribe(topic, match) {
    const subscription = subscriptions.get(keyOf(topic, match));
    subscriptions.delete(keyOf(topic, match));
    changed();
    if (page.session?.open) await subscription?.active?.unsubscribe();
  }

  function changed() {
    fill(chips, [...subscriptions.values()].map(({ topic, match, rate }) => h("li", {},
      h("span", { class: "topic" }, topic || "(all)"), match !== "exact" && h("span", { class: "badge" }, match), rate,
      button("✕", () => unsubscribe(topic, match), { "aria-label": `Unsubscribe from ${topic}`, class: "bare" }))));
    element.hidden = subscriptions.size === 0 && total === 0;
    if (subscriptions.size) clock ||= setInterval(tick, 1000);
    else {
      clearInterval(clock);
      clock = 0;
    }
    listeners.forEach((listener) => listener());
  }

  return {
    element,
    find: (topic, match) => subscriptions.get(keyOf(topic, match)),
    subscribe,
    unsubscribe,
    onchange: (listener) => listeners.add(listener),
    /** Subscribe again, with a new session. */
    async restore() {
      for (const subscription of [...subscriptions.values()]) {
        try {
          await start(subscription);
        } catch (error) {
          subscriptions.delete(keyOf(subscription.topic, subscription.match));
          page.notify(`No subscription to ${subscription.topic}: ${error.message}`);
        }
      }
      changed();
    },
    /** Forget all subscriptions and events, because another user may join. */
    forget() {
      subscriptions.clear();
      listeners.clear();
      clear();
      setPaused(false);
      changed();
    },
  };
}

function clockTime(date) {
  const pad = (number, length = 2) => String(number).padStart(length, "0");
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}
