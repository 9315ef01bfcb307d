/** Helpers for elements. Text always becomes a text node, so descriptions cannot contain markup. */

/**
 * Create an element. Attributes: a function `on...` is a listener, `true` an empty attribute; `false`,
 * `null` and `undefined` are left out. Children are nodes or text; `null` and `false` are left out.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

/** Replace the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

function present(children) {
  return children.flat(Infinity).filter((child) => child != null && child !== false);
}

export function button(label, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, label);
}

/** Return a labelled checkbox: `{element, input}`. */
export function checkbox(label, checked = false, hint = null) {
  const input = h("input", { type: "checkbox", checked });
  return { element: h("label", { class: "check", title: hint }, input, label), input };
}

/** Return a text field with a label: `{element, input, caption, note}`. */
export function field(label, attributes = {}, hint = "") {
  return labelled(label, h("input", { type: "text", spellcheck: "false", autocomplete: "off", ...attributes }), hint);
}

let labels = 0;

export function labelled(label, input, hint = "") {
  const id = `hint-${(labels += 1)}`;
  const [caption, note] = [h("span", {}, label), h("small", { id }, hint)];
  input.setAttribute("aria-describedby", id);
  return { element: h("div", { class: "labelled" }, h("label", {}, caption, input), note), input, caption, note };
}

export function badge(text, kind = "") {
  return h("span", { class: `badge ${kind}` }, text);
}

/** Let screen readers say a text. */
export function announce(text) {
  document.getElementById("announcements").textContent = text;
}

/** Copy a text and show the outcome on the button. */
export async function copy(text, shown) {
  let copied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // The clipboard needs a secure context and the focus.
    const area = h("textarea", { class: "offscreen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    copied = document.execCommand("copy");
    area.remove();
    shown.focus();
  }
  const label = shown.textContent;
  shown.textContent = copied ? "Copied" : "Not copied";
  announce(shown.textContent);
  setTimeout(() => (shown.textContent = label), 1200);
}

/** Add rows in several frames, so that long lists do not delay the first ones. Returns a function to stop. */
export function addRows(container, items, createRow, first = 150, more = 250) {
  let next = 0;
  let frame = 0;
  const add = (count) => {
    container.append(...items.slice(next, next + count).map(createRow));
    next += count;
    frame = next < items.length ? requestAnimationFrame(() => add(more)) : 0;
  };
  add(first);
  return () => cancelAnimationFrame(frame);
}

export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
