/**
 * Progressive results: a bar if they are fractions (0 to 1), percentages, or numbers up to the maximum in the schema,
 * and a list otherwise.
 */
import { fill, h } from "./dom.js";
import { resolve } from "./schema.js";
import { encode } from "./wamp.js";

const MAX_REPORTS = 200;
const MAX_TEXT = 500;

/** Return `{element, add(payload), end(succeeded)}`. `shape` is the described payload of the reports, or null. */
export function createProgress(shape, defs) {
  const { maximum } = resolve(shape?.args.prefixItems?.[0], defs);
  const element = h("div", { class: "progress" });
  const reports = [];
  let numbers = true;
  let fractions = false;
  let frame = 0;
  let total = 0;
  let finished = false;

  function draw() {
    frame = 0;
    if (numbers && total) drawBar();
    else fill(element, total > 0 && [h("h2", {}, `Progress (${total})`), h("ol", { reversed: true, start: total },
      [...reports].reverse().map((report) => h("li", {}, h("code", {}, textOf(report)))))]);
  }

  function drawBar() {
    const end = maximum > 0 ? maximum : fractions ? 1 : 100;
    const value = finished ? end : reports.at(-1).args[0];
    const percent = Math.round((100 * value) / end);
    const bar = element.querySelector("progress") ?? h("progress", { max: "1", "aria-label": "Progress of the call" });
    bar.value = Math.min(1, Math.max(0, value / end));
    if (!bar.isConnected) fill(element, bar, h("output", {}));
    element.querySelector("output").textContent = `${percent} %`;
  }

  return {
    element,
    add(report) {
      total += 1;
      reports.push(report);
      if (reports.length > MAX_REPORTS) reports.shift();
      const [value] = report.args;
      fractions ||= value > 0 && value < 1;
      numbers &&= typeof value === "number" && report.args.length === 1 && !Object.keys(report.kwargs).length
        && value >= 0 && value <= (maximum ?? (fractions ? 1 : 100));
      frame ||= requestAnimationFrame(draw);
    },
    end(succeeded) {
      finished = succeeded;
      if (frame) cancelAnimationFrame(frame);
      draw();
    },
  };
}

/** A payload in one line. */
export function textOf({ args, kwargs }, length = MAX_TEXT) {
  const named = Object.keys(kwargs).length > 0;
  const parts = [...args.map((value) => encode(value)), ...(named ? [encode(kwargs)] : [])];
  const text = parts.join(", ");
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
