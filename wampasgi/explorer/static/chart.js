/** A line chart of the last five minutes. */
import { fill, h } from "./dom.js";

const POINTS = 300;
const HEIGHT = 60;
const SVG = "http://www.w3.org/2000/svg";

/** Return `{element, add(value, other)}`: a point of the line, and one of a second, dashed line. */
export function createChart(title, unit = "") {
  const values = [];
  const others = [];
  const current = h("output", { class: "current" }, "–");
  const limits = h("p", { class: "muted limits" });
  const lines = { area: shape("polygon", "area"), other: shape("polyline", "other"), value: shape("polyline", "value") };
  const drawing = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["viewBox", `0 0 ${POINTS - 1} ${HEIGHT}`], ["preserveAspectRatio", "none"], ["aria-hidden", "true"]]) {
    drawing.setAttribute(name, value);
  }
  drawing.append(...Object.values(lines));
  const element = h("figure", { class: "chart" }, h("figcaption", {}, title), current, drawing, limits);

  function draw() {
    const known = [...values, ...others].filter((value) => value !== null);
    const top = Math.max(1, ...known);
    const points = (list) => list.map((value, index) => (value === null ? null
      : `${POINTS - list.length + index},${(HEIGHT - 1 - ((HEIGHT - 2) * value) / top).toFixed(1)}`)).filter(Boolean);
    const line = points(values);
    lines.value.setAttribute("points", line.join(" "));
    lines.other.setAttribute("points", points(others).join(" "));
    lines.area.setAttribute("points", [`${POINTS - values.length},${HEIGHT}`, ...line, `${POINTS - 1},${HEIGHT}`].join(" "));
    const last = values.at(-1);
    const other = others.at(-1);
    fill(current, last === null ? "–" : text(last) + unit, other != null && h("small", {}, ` of ${text(other)}${unit}`));
    limits.textContent = known.length > 1 ? `highest ${text(Math.max(...known))}${unit}` : "";
  }

  return {
    element,
    add(value, other) {
      values.push(value ?? null);
      others.push(other ?? null);
      if (values.length > POINTS) values.shift();
      if (others.length > POINTS) others.shift();
      draw();
    },
  };
}

function shape(tag, name) {
  const element = document.createElementNS(SVG, tag);
  element.setAttribute("class", name);
  return element;
}

const text = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 10 && !Number.isInteger(value) ? 1 : 0 });
