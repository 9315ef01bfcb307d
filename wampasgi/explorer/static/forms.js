/** The form for the arguments of a call or a publication, and the same arguments as JSON. */
import { h } from "./dom.js";
import { Slot } from "./fields.js";
import { isObject, listOf, own } from "./schema.js";
import { encode } from "./wamp.js";

const MAX_PARAMETERS = 200;
let ids = 0;

/**
 * Create a form. `parameters` and `defs` are those of a description; null parameters give two JSON fields.
 * `onChange` is called at each edit. Returns `{element, value, set, showErrors, clearErrors, focus}`.
 */
export function createForm({ parameters, defs, onChange }) {
  const context = { defs: isObject(defs) ? defs : {}, slots: 0, marked: new Set() };
  const form = h("div", { class: "form" });
  const json = h("div", { class: "form" });
  const described = Array.isArray(parameters) && parameters.length <= MAX_PARAMETERS;
  let fields = null;
  let raw = null;
  // Which of the two has edits that the other does not show yet.
  let newer = null;

  const fillForm = (payload) => {
    context.slots = 0;
    fields = createArguments(context, parameters, payload);
    form.replaceChildren(...fields.elements);
  };
  const fillJSON = ({ args, kwargs }) => {
    raw = [["args", "array", args], ["kwargs", "object", kwargs]].map(
      ([name, type, value]) => new Slot(context, { name, schema: {}, value, json: type }));
    json.replaceChildren(...raw.map(({ element }) => element));
  };
  const readJSON = (report) => {
    const [args, kwargs] = raw.map((slot) => slot.read(report));
    return { args, kwargs };
  };
  const synchronize = () => {
    if (!described) return;
    if (newer === "form") fillJSON(fields.read());
    if (newer === "json") {
      const payload = readJSON();
      if (!payload.args || !payload.kwargs) return;
      fillForm(payload);
    }
    newer = null;
  };

  const element = described ? createTabs([["Form", form], ["JSON", json]], synchronize) : h("div", {}, json);
  element.classList.add("arguments");
  const showsForm = () => described && !form.hidden;
  element.addEventListener("input", () => {
    newer = showsForm() ? "form" : "json";
    onChange?.();
  });

  const set = (payload) => {
    const filled = { args: listOf(payload?.args), kwargs: isObject(payload?.kwargs) ? payload.kwargs : {} };
    context.marked.clear();
    newer = null;
    if (described) fillForm(filled);
    // The form may have filled in defaults.
    fillJSON(described ? fields.read() : filled);
  };
  const clearErrors = () => [...context.marked].forEach((slot) => slot.mark(""));

  const value = () => {
    const problems = [];
    const report = (slot, message) => problems.push([slot, message]);
    const payload = showsForm() ? fields.read(report) : readJSON(report);
    problems.forEach(([slot, message]) => slot.mark(message));
    if (problems.length) {
      const more = problems.length > 1 ? ` There are ${problems.length} such fields.` : "";
      throw new Error(`${problems[0][0].where}: ${problems[0][1]}${more}`);
    }
    return payload;
  };

  const showErrors = (errors) => {
    clearErrors();
    synchronize();
    const unmatched = [];
    const found = new Map();
    for (const error of listOf(errors)) {
      const slot = described && typeof error?.argument === "string" && fields.find(error.argument, listOf(error.path));
      if (slot) found.set(slot, [...(found.get(slot) ?? []), String(error.reason)]);
      else unmatched.push(error);
    }
    found.forEach((reasons, slot) => slot.mark(reasons.join("\n")));
    const [first] = found.keys();
    if (first && showsForm()) first.focus();
    else if (first) {
      raw[0].mark([...found].map(([slot, reasons]) => `${slot.where}: ${reasons.join(" ")}`).join("\n"));
      raw[0].focus();
    }
    return unmatched;
  };

  const focus = () => (showsForm() ? form : json).querySelector("input, select, textarea, button")?.focus();
  set(null);
  return { element, value, set, showErrors, clearErrors, focus };
}

/** Create the slots of the parameters, filled with a payload. */
function createArguments(context, parameters, { args, kwargs }) {
  const byPosition = parameters.filter(({ kind }) => kind.startsWith("positional"));
  const rest = parameters.find(({ kind }) => kind === "rest");
  const keywordRest = parameters.find(({ kind }) => kind === "keyword_rest");
  const fresh = !args.length && !Object.keys(kwargs).length;
  const others = { ...kwargs };
  const take = (parameter) => {
    const index = byPosition.indexOf(parameter);
    if (index >= 0 && index < args.length) return args[index];
    if (parameter.kind === "positional_only") return undefined;
    const name = [parameter.name, ...listOf(parameter.aliases)].find((candidate) => Object.hasOwn(others, candidate));
    const value = own(others, name);
    delete others[name];
    return value;
  };
  const create = (parameter, schema, value, required) => [parameter,
    new Slot(context, { name: String(parameter.name), schema, value, required, fresh })];
  const slots = new Map(parameters.filter((parameter) => parameter !== rest && parameter !== keywordRest)
    .map((parameter) => create(parameter, parameter.schema, take(parameter), parameter.required === true)));
  let extraArgs = args.slice(byPosition.length);
  let extraKwargs = others;
  const restSlot = rest && create(rest, { type: "array", items: rest.schema }, extraArgs, true)[1];
  const keywordSlot = keywordRest && create(keywordRest, { type: "object", additionalProperties: keywordRest.schema }, extraKwargs, true)[1];
  if (rest) extraArgs = [];
  if (keywordRest) extraKwargs = {};
  const extra = [...extraArgs.map((_, index) => `argument ${byPosition.length + index + 1}`), ...Object.keys(extraKwargs)];

  function read(report) {
    const values = new Map([...slots].map(([parameter, slot]) => [parameter, slot.read(report)]));
    const more = [...(restSlot?.read(report) ?? []), ...extraArgs];
    const needed = more.length ? byPosition.length
      : byPosition.findLastIndex((parameter) => parameter.kind === "positional_only" && values.get(parameter) !== undefined) + 1;
    const positional = [];
    for (const [index, parameter] of byPosition.entries()) {
      const value = values.get(parameter);
      if (index >= needed && (value === undefined || index > positional.length)) break;
      positional.push(value ?? own(parameter.schema, "default") ?? null);
    }
    const keywords = [...values].filter(([parameter, value]) => value !== undefined
      && !byPosition.slice(0, positional.length).includes(parameter));
    return {
      args: [...positional, ...more],
      kwargs: { ...keywordSlot?.read(report), ...extraKwargs,
        ...Object.fromEntries(keywords.map(([{ name }, value]) => [name, value])) },
    };
  }

  function find(name, path) {
    const known = [...slots].find(([parameter]) => parameter.name === name || listOf(parameter.aliases).includes(name));
    if (known) return known[1].find(path);
    if (name === rest?.name) return restSlot.find(path);
    if (name === keywordRest?.name) return keywordSlot.find(path);
    const found = keywordSlot?.find([name, ...path]);
    return found === keywordSlot ? null : found;
  }

  const elements = [...slots.values(), restSlot, keywordSlot].filter(Boolean).map((slot) => slot.element);
  if (extra.length) elements.push(h("p", { class: "hint" }, `Also sent, see JSON: ${extra.join(", ").slice(0, 500)}`));
  if (!elements.length) elements.push(h("p", { class: "hint" }, "There are no arguments."));
  return { elements, read, find };
}

/** Create tabs. `onSwitch` is called before a panel is shown. */
function createTabs(panels, onSwitch) {
  const id = `tabs-${ids += 1}`;
  const tabs = panels.map(([label, panel], index) => {
    panel.id = `${id}-panel-${index}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `${id}-tab-${index}`);
    return h("button", { type: "button", role: "tab", id: `${id}-tab-${index}`, "aria-controls": panel.id,
      onclick: () => select(index), onkeydown: (event) => {
        const next = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        select((next + tabs.length) % tabs.length);
        tabs[(next + tabs.length) % tabs.length].focus();
      } }, label);
  });
  const select = (chosen) => {
    onSwitch();
    tabs.forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === chosen));
      tab.tabIndex = index === chosen ? 0 : -1;
      panels[index][1].hidden = index !== chosen;
    });
  };
  const element = h("div", {}, h("div", { role: "tablist", "aria-label": "Arguments" }, tabs), panels.map(([, panel]) => panel));
  tabs.forEach((tab, index) => {
    tab.setAttribute("aria-selected", String(index === 0));
    tab.tabIndex = index === 0 ? 0 : -1;
    panels[index][1].hidden = index !== 0;
  });
  return element;
}
