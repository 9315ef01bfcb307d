/** Live charts of the realm's metrics, and of the latency of this page's own requests. */
import { createChart } from "./chart.js";
import { fill, h } from "./dom.js";

const PROCEDURE = "wamp.metrics.get";
/** In milliseconds. */
const INTERVAL = 1000;

/** The gauges and, per second, the counters of this worker. `all` returns the number of all workers. */
const CHARTS = [
  { title: "Sessions", gauge: true, read: ({ sessions }) => sessions.open, all: ({ realm }) => realm?.sessions },
  { title: "Calls", read: ({ calls }) => calls.results + calls.errors + calls.canceled },
  { title: "Events sent", read: ({ events }) => events.sent },
  { title: "Errors", read: ({ errors }) => errors.sent },
  { title: "Messages dropped", read: ({ overflows }) => overflows.dropped },
];

/** Return the view, or null if the session may not read the metrics. */
export async function createOverview(page) {
  const { session } = page;
  if (!(await session.call(PROCEDURE).result.catch(() => null))) return null;
  const charts = CHARTS.map((chart) => ({ ...chart, ...createChart(chart.title, chart.gauge ? "" : "/s"), last: null }));
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

  function addTo(chart, metrics, now) {
    const value = chart.read(metrics);
    const { last } = chart;
    chart.last = { value, now };
    if (chart.gauge) chart.add(value, chart.all(metrics));
    else if (last) chart.add(Math.max(0, (1000 * (value - last.value)) / (now - last.now)));
  }

  function showGroups({ realm, cluster }) {
    note.textContent = realm ? "The charts show this worker. The dashed line shows all workers." : "";
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
