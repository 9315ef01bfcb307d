/** Live charts of the realm's metrics, and of the latency of this page's own requests. */
import { createChart } from "./chart.js";
import { count, fill, h } from "./dom.js";

const PROCEDURE = "wamp.metrics.get";
/** In milliseconds. */
const INTERVAL = 1000;

/** The gauges and, per second, the counters of a worker. */
const CHARTS = [
  { title: "Sessions", gauge: true, read: ({ sessions }) => sessions.open },
  { title: "Calls", read: ({ calls }) => calls.results + calls.errors + calls.canceled },
  { title: "Events sent", read: ({ events }) => events.sent },
  { title: "Errors", read: ({ errors }) => errors.sent },
  { title: "Messages dropped", read: ({ overflows }) => overflows.dropped },
];

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** Return the view, or null if the session may not read the metrics. */
export async function createOverview(page) {
  const { session } = page;
  if (!(await session.call(PROCEDURE).result.catch(() => null))) return null;
  const charts = CHARTS.map((chart) => ({ ...chart, ...createChart(chart.title, chart.gauge ? "" : "/s"), last: [] }));
  const latency = createChart("Latency of this page", " ms");
  const note = h("p", { class: "muted", role: "status" });
  const groups = h("div", { class: "groups" });
  const element = h("div", { class: "view" }, h("h1", {}, "Overview"), note,
    h("div", { class: "charts" }, [...charts, latency].map((chart) => chart.element)), groups);
  let visible = false;
  let clock = 0;
  let polling = false;

  async function poll() {
    if (polling) return;
    polling = true;
    const started = performance.now();
    try {
      const [metrics] = (await page.session.call(PROCEDURE, [], {}, { timeout: 10 }).result).args;
      const now = performance.now();
      latency.add(now - started);
      charts.forEach((chart) => addTo(chart, metrics, now));
      showGroups(metrics);
    } catch (error) {
      note.textContent = `No metrics: ${error.message}`;
    } finally {
      polling = false;
    }
  }

  /** Add the value of this worker to a chart and, if there may be others, the sum of all. */
  function addTo(chart, { workers, ...own }, now) {
    const all = [["own", own], ...Object.entries(workers ?? {})];
    const values = new Map(all.map(([name, metrics]) => [name, chart.read(metrics)]));
    const { last: [before, then] } = chart;
    chart.last = [values, now];
    if (!chart.gauge && !before) return;
    // A worker counts from its second answer on, or else its whole past would seem to have happened just now.
    const rates = [...values].map(([name, value]) =>
      chart.gauge ? value : Math.max(0, (1000 * (value - (before.get(name) ?? value))) / (now - then)));
    chart.add(rates[0], own.realm && sum(rates));
  }

  function showGroups({ realm, cluster }) {
    const number = realm && count(realm.workers, "worker");
    fill(note, realm && `${number}. The lines show this worker, and the dashed lines the sum of all workers.`);
    const fact = ([name, value]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, String(value)));
    fill(groups, Object.entries({ "All workers": realm, Cluster: cluster }).map(([title, group]) =>
      group && h("section", {}, h("h2", {}, title), h("dl", {}, Object.entries(group).map(fact)))));
  }

  function update() {
    clearInterval(clock);
    if (!visible || document.hidden) return;
    poll();
    clock = setInterval(poll, INTERVAL);
  }

  document.addEventListener("visibilitychange", update);
  return ["overview", "Overview", element, (is) => {
    visible = is;
    update();
  }];
}
