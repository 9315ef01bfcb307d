/** Live charts of the realm's metrics, and the latency of this page's own requests. */
import { h } from "./dom.js";
import { createChart } from "./chart.js";

const PROCEDURE = "wamp.metrics.get";
const INTERVAL = 1000;

const sum = (...values) => values.reduce((total, value) => total + (value ?? 0), 0);

/**
 * The charts of this worker. `read` takes the metrics, and `all` returns the number of all workers. A `rate` is shown as
 * its change in a second.
 */
const CHARTS = [
  { title: "Sessions", read: ({ sessions }) => sessions?.open, all: ({ realm }) => realm?.sessions },
  { title: "Calls", unit: "/s", rate: true, read: ({ calls }) => calls && sum(calls.results, calls.errors, calls.canceled) },
  { title: "Events sent", unit: "/s", rate: true, read: ({ events }) => events?.sent },
  { title: "Errors", unit: "/s", rate: true, read: ({ errors }) => errors?.sent },
  { title: "Messages dropped", unit: "/s", rate: true, read: ({ overflows }) => overflows?.dropped },
];

/** Return `{element, show(visible)}`, or null if the session may not read the metrics. */
export async function createOverview(page) {
  try {
    await page.session.call(PROCEDURE).result;
  } catch (error) {
    if (!error.uri) throw error;
    return null;
  }
  const charts = CHARTS.map((chart) => ({ ...chart, view: createChart(chart.title, chart.unit), last: null }));
  const latency = createChart("Latency of this page", " ms");
  const note = h("p", { class: "muted", role: "status" });
  const tables = h("div", { class: "groups" });
  const element = h("div", { class: "view overview" }, h("h1", {}, "Overview"), note,
    h("div", { class: "charts" }, charts.map(({ view }) => view.element), latency.element), tables);
  let visible = false;
  let clock = 0;
  let polling = false;

  async function poll() {
    if (polling || !page.session?.open) return;
    polling = true;
    const started = performance.now();
    try {
      const { args: [metrics] } = await page.session.call(PROCEDURE, [], {}, { timeout: 10 }).result;
      const now = performance.now();
      latency.add(now - started);
      charts.forEach((chart) => add(chart, metrics, now));
      showTables(metrics);
      note.textContent = metrics.realm ? "The charts show this worker. The dashed line shows all workers." : "";
    } catch (error) {
      note.textContent = `No metrics: ${error.message}`;
    } finally {
      polling = false;
    }
  }

  function add(chart, metrics, now) {
    const value = chart.read(metrics);
    if (!chart.rate || value === undefined) {
      chart.view.add(value, chart.all?.(metrics));
      return;
    }
    const { last } = chart;
    chart.last = { value, now };
    if (last) chart.view.add(Math.max(0, (1000 * (value - last.value)) / (now - last.now)));
  }

  function showTables(metrics) {
    const names = ["realm", "cluster"].filter((name) => metrics[name]);
    tables.replaceChildren(...names.map((name) => h("section", {}, h("h2", {}, name === "realm" ? "All workers" : "Cluster"),
      h("dl", {}, Object.entries(metrics[name]).map(([key, value]) =>
        h("div", {}, h("dt", {}, key.replaceAll("_", " ")), h("dd", {}, String(value))))))));
  }

  function update() {
    const wanted = visible && document.visibilityState === "visible";
    if (wanted && !clock) {
      poll();
      clock = setInterval(poll, INTERVAL);
    } else if (!wanted) {
      clearInterval(clock);
      clock = 0;
    }
  }

  document.addEventListener("visibilitychange", update);
  return {
    element,
    show(is) {
      visible = is;
      update();
    },
    stop() {
      visible = false;
      update();
      document.removeEventListener("visibilitychange", update);
    },
  };
}
