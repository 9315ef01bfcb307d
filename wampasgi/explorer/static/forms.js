/** The form for the arguments of a call or a publication, and the same arguments as JSON. */
import { h } from "./dom.js";
import { Slot } from "./fields.js";
import { isObject, listOf, mapOf, own, textOf } from "./schema.js";

const MAX_PARAMETERS = 200;
let ids = 0;

/**
 * Create a form. `parameters` and `defs` are those of a description; null parameters give two JSON fields.
 * `onChange` is called at each edit. Returns `{element, value, set, showErrors, clearErrors, focus}`:
 *
 * - `value()` returns `{args, kwargs}` of the tab that is shown. If a field is unreadable, it marks such fields, unless
 *   `mark` is false, and throws an Error with a readable message.
 * - `set({args, kwargs})` fills in a payload.
 * - `showErrors(errors)` marks the fields that errors of the server name, and returns the other errors.
 */
export function createForm({ parameters, defs, onChange }) {
  const context = { defs: mapOf(defs), slots: 0, marked: new Set() };
  const described = Array.isArray(parameters) && parameters.length <= MAX_PARAMETERS;
  const known = listOf(parameters).map((found) => ({ ...mapOf(found), name: String(found?.name), kind: String(found?.kind) }));
  const form = h("div", { class: "form" });
  const json = h("div", { class: "form" });
  let fields = null;
  let raw = null;
  // The one of the two with edits that the other does not show yet.
  let edited = null;

  const fillForm = (payload) => {
    context.slots = 0;
    fields = createArguments(context, known, payload);
    form.replaceChildren(...fields.elements);
  };
  const fillJSON = (payload) => {
    raw = Object.entries({ args: "array", kwargs: "object" }).map(([name, type]) =>
      new Slot(context, { name, value: payload[name], json: type }));
    json.replaceChildren(...raw.map(({ element }) => element));
  };
  const readJSON = (report) => {
    const [args, kwargs] = raw.map((slot) => slot.read(report));
    return { args, kwargs };
  };
  const synchronize = () => {
    const payload = edited === json ? readJSON() : fields.read();
    // Invalid JSON stays until it is edited.
    if (!payload.args || !payload.kwargs) return;
    if (edited === form) fillJSON(payload);
    if (edited === json) fillForm(payload);
    edited = null;
  };

  const element = described ? createTabs({ Form: form, JSON: json }, synchronize) : h("div", {}, json);
  element.classList.add("arguments");
  const shown = () => (described && !form.hidden ? form : json);
  element.addEventListener("input", () => {
    edited = shown();
    onChange?.();
  });
  // Enter alone begins a new line in most fields.
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element.closest("form")?.requestSubmit();
  });

  const handle = {
    element,
    value({ mark = true } = {}) {
      const problems = [];
      const report = (slot, message) => problems.push([slot, message]);
      const payload = shown() === form ? fields.read(report) : readJSON(report);
      if (!problems.length) return payload;
      if (mark) problems.forEach(([slot, message]) => slot.mark(message));
      const more = problems.length > 1 ? ` ${problems.length} fields must be corrected.` : "";
      throw new Error(`${problems[0][0].where}: ${problems[0][1]}${more}`);
    },
    set(payload) {
      const filled = { args: listOf(payload?.args), kwargs: mapOf(payload?.kwargs) };
      context.marked.clear();
      edited = null;
      if (described) fillForm(filled);
      // A form adds what is always sent.
      fillJSON(described ? fields.read() : filled);
    },
    clearErrors: () => context.marked.forEach((slot) => slot.mark("")),
    showErrors(errors) {
      handle.clearErrors();
      if (described) synchronize();
      const found = new Map();
      const unmatched = listOf(errors).filter((error) => {
        const { argument, path, reason } = mapOf(error);
        const slot = described && typeof argument === "string" && fields.find(argument, listOf(path));
        if (slot) found.set(slot, [...(found.get(slot) ?? []), textOf(reason, 1000) || "This is invalid."]);
        return !slot;
      });
      found.forEach((reasons, slot) => slot.mark(reasons.join("\n")));
      if (found.size && shown() === json) {
        raw[0].mark([...found].map(([slot, reasons]) => `${slot.where}: ${reasons.join(" ")}`).join("\n"));
        raw[0].focus();
      } else found.keys().next().value?.focus();
      return unmatched;
    },
    focus: () => shown().querySelector("input, select, textarea, button")?.focus(),
  };
  handle.set(null);
  return handle;
}

/** Create the slots of parameters, filled with a payload. */
function createArguments(context, parameters, { args, kwargs }) {
  const ofKind = (kind) => parameters.filter((parameter) => parameter.kind.startsWith(kind));
  const [positional, [rest], [keywordRest]] = ["positional", "rest", "keyword_rest"].map(ofKind);
  const fresh = !args.length && !Object.keys(kwargs).length;
  const others = new Map(Object.entries(kwargs));
  const create = ({ name, schema, required }, value) => new Slot(context, { name, schema, required: required === true, fresh, value });
  const slots = new Map(parameters.filter((parameter) => !parameter.kind.endsWith("rest")).map((parameter) => {
    const index = positional.indexOf(parameter);
    if (index >= 0 && index < args.length) return [parameter, create(parameter, args[index])];
    const name = namesOf(parameter).find((candidate) => others.has(candidate) && parameter.kind !== "positional_only");
    const value = others.get(name);
    others.delete(name);
    return [parameter, create(parameter, value)];
  }));
  let extraArgs = args.slice(positional.length);
  let extraKwargs = Object.fromEntries(others);
  const extra = [...(rest ? [] : extraArgs.map((_, index) => `argument ${positional.length + index + 1}`)),
    ...(keywordRest ? [] : others.keys())];
  const restSlot = rest && create({ ...rest, schema: { type: "array", items: rest.schema }, required: true }, extraArgs);
  const keywordSlot = keywordRest && create({ ...keywordRest, schema: { type: "object", additionalProperties: keywordRest.schema },
    required: true }, extraKwargs);
  if (rest) extraArgs = [];
  if (keywordRest) extraKwargs = {};

  function read(report) {
    const values = new Map([...slots].map(([parameter, slot]) => [parameter, slot.read(report)]));
    const collect = (slot, empty) => {
      const value = slot?.read(report);
      if (value === undefined) return empty;
      if (Array.isArray(empty) ? Array.isArray(value) : isObject(value)) return value;
      report?.(slot, `This must be a JSON ${Array.isArray(empty) ? "array" : "object"}.`);
      return empty;
    };
    const more = [...collect(restSlot, []), ...extraArgs];
    const given = (parameter) => values.get(parameter) !== undefined;
    // So many must be sent by position. Of the others, those after an omitted one are sent by keyword.
    const needed = more.length ? positional.length
      : positional.findLastIndex((parameter) => parameter.kind === "positional_only" && given(parameter)) + 1;
    const gap = positional.findIndex((parameter, index) => index >= needed && !given(parameter));
    const ordered = positional.slice(0, gap < 0 ? positional.length : gap);
    const keywords = [...slots.keys()].filter((parameter) => given(parameter) && !ordered.includes(parameter));
    return {
      args: [...ordered.map((parameter) => given(parameter) ? values.get(parameter) : own(parameter.schema, "default") ?? null), ...more],
      kwargs: { ...extraKwargs, ...collect(keywordSlot, {}),
        ...Object.fromEntries(keywords.map((parameter) => [parameter.name, values.get(parameter)])) },
    };
  }

  function find(name, path) {
    const known = [...slots.keys()].find((parameter) => namesOf(parameter).includes(name));
    if (known) return slots.get(known).find(path);
    if (name === rest?.name) return restSlot.find(path);
    const found = keywordSlot?.find(name === keywordRest.name ? path : [name, ...path]);
    return found !== keywordSlot || name === keywordRest?.name ? found : undefined;
  }

  const elements = [...slots.values(), restSlot, keywordSlot].filter(Boolean).map((slot) => slot.element);
  const note = extra.length ? `Also sent, see JSON: ${extra.join(", ").slice(0, 500)}` : !elements.length && "There are no arguments.";
  return { elements: note ? [...elements, h("p", { class: "hint" }, note)] : elements, read, find };
}

const namesOf = ({ name, aliases }) => [name, ...listOf(aliases)];

/** Create tabs. `onSwitch` is called before another panel is shown. */
function createTabs(panels, onSwitch) {
  const id = `tabs-${ids += 1}`;
  const tabs = Object.entries(panels).map(([label, panel], index) => {
    const tab = h("button", { type: "button", role: "tab", id: `${id}-${index}`, "aria-controls": `${id}-panel-${index}`,
      onclick: () => select(tab), onkeydown: ({ key }) => {
        if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(key)) return;
        // There are two tabs, so both arrows lead to the other one.
        const next = tabs[{ Home: 0, End: 1 }[key] ?? 1 - index];
        select(next);
        next.focus();
      } }, label);
    Object.assign(panel, { id: `${id}-panel-${index}`, role: "tabpanel" }).setAttribute("aria-labelledby", tab.id);
    return tab;
  });
  const show = (chosen) => Object.values(panels).forEach((panel, index) => {
    tabs[index].ariaSelected = String(tabs[index] === chosen);
    tabs[index].tabIndex = tabs[index] === chosen ? 0 : -1;
    panel.hidden = tabs[index] !== chosen;
  });
  const select = (chosen) => {
    onSwitch();
    show(chosen);
  };
  show(tabs[0]);
  return h("div", {}, h("div", { role: "tablist", "aria-label": "Arguments" }, tabs), Object.values(panels));
}
