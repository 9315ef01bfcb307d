/** A line chart of the last five minutes. */
import { fill, h } from "./dom.js";

const POINTS = 300;
const HEIGHT = 60;

/** Return `{element, add(value, other)}`: `other` is the next point of a second, dashed line. */
export function createChart(title, unit) {
  const values = [];
  const others = [];
  const current = h("output", {}, "–");
  const highest = h("p", { class: "muted" });
  const [area, otherLine, line] = [svg("polygon", { class: "area" }), svg("polyline", { class: "other" }), svg("polyline")];
  const drawing = svg("svg", { viewBox: `0 0 ${POINTS} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  drawing.append(area, otherLine, line);
  const element = h("figure", { class: "chart" }, h("figcaption", {}, title), current, drawing, highest);

  function add(value, other) {
    values.push(value);
    if (other !== undefined) others.push(other);
    for (const list of [values, others]) if (list.length > POINTS) list.shift();
    const top = Math.max(...values, ...others);
    const points = (list) => list.map((point, index) =>
      `${POINTS - list.length + index},${(HEIGHT - 1 - ((HEIGHT - 2) * point) / Math.max(1, top)).toFixed(1)}`).join(" ");
    line.setAttribute("points", points(values));
    otherLine.setAttribute("points", points(others));
    area.setAttribute("points", `${POINTS - values.length},${HEIGHT} ${points(values)} ${POINTS - 1},${HEIGHT}`);
    fill(current, text(value) + unit, other !== undefined && h("small", {}, ` of ${text(other)}${unit}`));
    highest.textContent = `highest ${text(top)}${unit} in 5 minutes`;
  }

  return { element, add };
}

function svg(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const text = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
